// The checker finds each kind of violation when it is planted, alone, in a history that is otherwise clean.
import { describe, expect, test } from 'vitest'
import { checkHistory } from './history-checker.ts'
import type { Execution, History, Oracle, Recorded, Told } from './history.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

const FILE = '/state/audit/0/1.jsonl'
const CALLER = 'spiffe://crank.local/worker/streaming'
const CAPABILITY = 'invoke:hello_world'
const KILL_MS = 50_000

const told = (over: Partial<Told> = {}): Told => ({
  id: 'call-0',
  caller: CALLER,
  capability: CAPABILITY,
  key: null,
  startMs: 1000,
  endMs: 1010,
  status: 200,
  error: null,
  decisionId: 'd-0',
  workerId: 'worker-hello-world',
  isReplay: false,
  ...over,
})
const execution = (over: Partial<Execution> = {}): Execution => ({
  id: 'call-0',
  workerId: 'worker-hello-world',
  caller: CALLER,
  capability: CAPABILITY,
  key: null,
  decisionId: 'd-0',
  atMs: 1005,
  auditSizes: { [FILE]: 100 },
  answered: 'whole',
  ...over,
})
const decision = (over: Record<string, unknown> = {}, endsAt = 100): Recorded => ({
  line: {
    event: 'policy_decision',
    decision_id: 'd-0',
    decision: 'allow',
    requester_spiffe_id: CALLER,
    capability: CAPABILITY,
    policy_revision: 'r-1',
    ...over,
  } as unknown as AuditLine,
  file: FILE,
  endsAt,
})
const outcome = (over: Record<string, unknown> = {}): Recorded => ({
  line: { event: 'route_outcome', decision_id: 'd-0', outcome: 'completed', ...over } as unknown as AuditLine,
  file: FILE,
  endsAt: 200,
})
const history = (over: Partial<History> = {}): History => ({
  told: [told()],
  executions: [execution()],
  records: [decision(), outcome()],
  chains: {
    [FILE]: { ok: true, records: 2, withoutOutcome: 0, head: null, faults: [], faultCount: 0, tornTailBytes: 0 },
  },
  killsMs: [],
  auditOutages: [],
  retrySafe: new Set(),
  ...over,
})
const allowsAll: Oracle = () => true
const broken = (over: Partial<History>, oracle: Oracle = allowsAll) => checkHistory(history(over), oracle)
const rules = (over: Partial<History>, oracle?: Oracle) => broken(over, oracle).map(({ rule }) => rule)

test('a clean history has no violation', () => {
  expect(broken({})).toEqual([])
})

describe('(a) an execution without a durable allow before it', () => {
  test('no decision at all', () => {
    expect(rules({ told: [], executions: [execution({ decisionId: 'd-9' })], killsMs: [KILL_MS] })).toEqual(['a'])
  })
  test('a denial', () => {
    const denied = { told: [], records: [decision({ decision: 'deny' }), outcome()] }
    expect(broken(denied)).toEqual([{ rule: 'a', says: 'worker-hello-world executed d-0, which has no allow' }])
  })
  test('an allow that was written only afterwards, by one byte', () => {
    expect(rules({ executions: [execution({ auditSizes: { [FILE]: 99 } })] })).toEqual(['a'])
  })
  test('an allow in a file that was not there', () => {
    expect(rules({ executions: [execution({ auditSizes: {} })] })).toEqual(['a'])
  })
  test('what shadow mode lets pass is covered', () => {
    expect(rules({ records: [decision({ decision: 'would_deny' }), outcome()] })).toEqual([])
  })
  test('of two decisions the first allow counts', () => {
    const again = decision({}, 400)
    expect(rules({ records: [decision(), again, outcome()] })).toEqual([])
  })
})

describe('(b) an answer without its records', () => {
  test('without a decision', () => {
    expect(rules({ executions: [], records: [outcome()] })).toEqual(['b'])
  })
  test('without an outcome', () => {
    expect(broken({ executions: [], records: [decision()] })).toEqual([
      { rule: 'b', says: 'call call-0 was answered 200; its outcome is not on record' },
    ])
  })
  test('a kill may take the outcome of what ended just before it, and no other', () => {
    const ended = (endMs: number) => ({ told: [told({ endMs })], executions: [], records: [decision()] })
    expect(rules({ ...ended(KILL_MS - 100), killsMs: [KILL_MS] })).toEqual([])
    expect(rules({ ...ended(KILL_MS - 5000), killsMs: [KILL_MS] })).toEqual(['b'])
  })
  test('a full disk may take an outcome, and no decision', () => {
    const auditOutages = [{ fromMs: 900, toMs: 1100 }]
    expect(rules({ executions: [], records: [decision()], auditOutages })).toEqual([])
    expect(rules({ executions: [], records: [], auditOutages })).toEqual(['b'])
  })
  test('403 whose decision is no denial', () => {
    const refused = told({ status: 403, workerId: null })
    expect(rules({ told: [refused], executions: [] })).toEqual(['b'])
  })
  test("a worker's own 403 is an allowed call", () => {
    expect(rules({ told: [told({ status: 403 })] })).toEqual([])
  })
  test('a broken answer and a refusal before the decision need none', () => {
    const quiet = [told({ status: null, decisionId: null, workerId: null }), told({ status: 503, workerId: null })]
    expect(rules({ told: quiet, executions: [], records: [] })).toEqual([])
  })
})

describe('(c) an allow that the oracle denies', () => {
  test('at the revision that it names', () => {
    const oracle: Oracle = ({ policy_revision: revision }) => revision !== 'r-2'
    expect(rules({}, oracle)).toEqual([])
    expect(rules({ records: [decision({ policy_revision: 'r-2' }), outcome()] }, oracle)).toEqual(['c'])
  })
  test('under a policy that was never in force', () => {
    expect(broken({}, () => 'no_revision')[0]?.says).toContain('policy r-1 that was never in force')
  })
  test('shadow mode lets denials pass on purpose', () => {
    expect(rules({ records: [decision({ decision: 'would_deny' }), outcome()] }, () => false)).toEqual([])
  })
})

describe('(d) a second execution', () => {
  const twice = (over: Partial<Execution>) => {
    const ids = ['d-0', 'd-1']
    return {
      told: [],
      executions: ids.map((decisionId) => execution({ decisionId, ...over })),
      records: ids.flatMap((decision_id) => [decision({ decision_id }), outcome({ decision_id })]),
    }
  }
  test('of a key', () => {
    expect(broken(twice({ key: 'k' }))).toEqual([{ rule: 'd', says: `key ${CALLER} k was executed 2 times` }])
  })
  test('of two callers with the same key is none', () => {
    const both = twice({ key: 'k' })
    const [first, second] = both.executions
    expect(rules({ ...both, executions: [first!, { ...second!, caller: 'other' }] })).toEqual([])
  })
  test('of a key whose capability may run again is none', () => {
    expect(rules({ ...twice({ key: 'k' }), retrySafe: new Set([CAPABILITY]) })).toEqual([])
  })
  test('of one decision without a key', () => {
    expect(rules({ executions: [execution(), execution()] })).toEqual(['d'])
  })
})

describe('(e) an end that nobody can know', () => {
  const ended = (answered: Execution['answered'], as: string) =>
    rules({ told: [], executions: [execution({ answered })], records: [decision(), outcome({ outcome: as })] })
  test.each(['completed', 'worker_failed', 'refused'])('no answer, recorded as %s', (as) => {
    expect(ended('none', as)).toEqual(['e'])
  })
  test('a part of an answer, recorded as completed', () => {
    expect(ended('part', 'completed')).toEqual(['e'])
  })
  test.each(['unknown', 'timeout', 'caller_left', 'shutdown'])('no answer, recorded as %s, is right', (as) => {
    expect(ended('none', as)).toEqual([])
  })
  test('no outcome at all, unless the controller was killed', () => {
    const open = { told: [], executions: [execution({ answered: 'none' as const })], records: [decision()] }
    expect(rules(open)).toEqual(['e'])
    expect(rules({ ...open, killsMs: [KILL_MS] })).toEqual([])
  })
})

test('(f) a chain that does not verify', () => {
  const chains = {
    [FILE]: { ok: false, records: 1, withoutOutcome: 0, head: null, tornTailBytes: 7, faults: [], faultCount: 0 },
  }
  expect(broken({ chains })).toEqual([{ rule: 'f', says: `${FILE} does not verify: 7 bytes of a torn record` }])
})
