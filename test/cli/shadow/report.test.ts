// `crank shadow report` as it is run: a log, a policy folder, and what may be enforced by them.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyPolicies, type PolicyDir } from '../../fixtures/policy-dir.ts'
import { workerId, writeAuditFile, type Made } from '../audit-file.ts'
import { crank } from '../in-process.ts'

const manifest = (name: string, required: string[], provided: string[] = []) => ({
  [workerId(name)]: { worker_id: `worker-${name}`, required_capabilities: required, provided_capabilities: provided },
})
const WORKERS = {
  ...manifest('a', ['use:ready', 'use:fixed', 'use:rare', 'use:closed', 'use:one_day']),
  ...manifest('b', ['use:ready', 'use:denied', 'use:mixed']),
  ...manifest('c', ['use:ready', 'use:mixed'], ['use:ready', 'use:unseen']),
}
const ENFORCEMENT = {
  default: 'shadow',
  callers: { [workerId('b')]: 'enforce' },
  capabilities: { 'use:closed': 'enforce', 'use:mixed': 'shadow' },
}
const everyDay = (one: Made, days = 3): Made[] =>
  Array.from({ length: days }, (_, daysAgo) => ({ ...one, daysAgo, times: 10 }))
const MADE: Made[] = [
  { who: 'a', capability: 'use:ready', decision: 'would_deny', daysAgo: 20 },
  ...everyDay({ who: 'a', capability: 'use:ready' }),
  { who: 'a', capability: 'use:ready', decision: 'unevaluated' },
  ...everyDay({ who: 'a', capability: 'use:denied', decision: 'would_deny' }),
  ...everyDay({ who: 'stranger', capability: 'use:denied', decision: 'would_deny', code: 'worker_unknown' }, 1),
  ...everyDay({ who: 'a', capability: 'use:fixed', decision: 'would_deny' }),
  ...everyDay({ who: 'stranger', capability: 'use:ready', exception: `${workerId('stranger')}#*` }, 1),
  { who: 'a', capability: 'use:rare' },
  { who: 'a', capability: 'use:one_day', times: 30 },
]

let policies: PolicyDir
let audit: string
beforeAll(async () => {
  policies = await copyPolicies({
    'data/worker_manifests.json': JSON.stringify({ workers: WORKERS }),
    'data/enforcement.json': JSON.stringify({ enforcement: ENFORCEMENT }),
  })
  audit = join(policies.dir, 'audit.jsonl')
  await writeAuditFile(audit, MADE)
})
afterAll(() => policies[Symbol.asyncDispose]())

type Report = {
  ready: boolean
  capabilities: ({ capability: string; mode: string; verdict: string; why: string } & Record<string, unknown>)[]
}

async function report(...more: string[]): Promise<{ code: number | null; report: Report }> {
  const args = ['shadow', 'report', '--audit', audit, '--policy', policies.dir, '-o', 'json', ...more]
  const { code, stdout } = await crank(args)
  return { code, report: JSON.parse(stdout) as Report }
}

describe('the report', () => {
  let found: Awaited<ReturnType<typeof report>>
  beforeAll(async () => {
    found = await report()
  })
  const of = (name: string) => found.report.capabilities.find(({ capability }) => capability === name)!

  test('gives every capability that is declared or was called its verdict, and exits with 1 unless all are ready', () => {
    expect(found.code).toBe(1)
    expect(found.report.ready).toBe(false)
    expect(found.report.capabilities.map(({ capability, mode, verdict }) => [capability, mode, verdict])).toEqual([
      ['use:closed', 'enforce', 'enforced'],
      ['use:denied', 'mixed', 'not ready'],
      ['use:fixed', 'shadow', 'ready'],
      ['use:mixed', 'mixed', 'not enough data'],
      ['use:one_day', 'shadow', 'not enough data'],
      ['use:rare', 'shadow', 'not enough data'],
      ['use:ready', 'mixed', 'ready'],
      ['use:unseen', 'shadow', 'not enough data'],
    ])
  })

  test('tells calls, callers, days, what passed without a decision, and exceptions in use', () => {
    expect(of('use:ready')).toMatchObject({
      calls: 41,
      days: 3,
      unevaluated: 1,
      callers: [
        { spiffe_id: workerId('a'), calls: 31 },
        { spiffe_id: workerId('stranger'), calls: 10 },
      ],
      exceptions: { [`${workerId('stranger')}#*`]: 10 },
      would_denials: { total: 0, standing: 0 },
    })
  })

  test('names declared callers that were never seen, but not the provider itself', () => {
    expect(of('use:ready')['callers_never_seen']).toEqual([workerId('b')])
    expect(of('use:closed')['callers_never_seen']).toEqual([workerId('a')])
  })

  test('counts would-be denials by reason and by caller', () => {
    expect(of('use:denied')).toMatchObject({
      why: '40 calls would be denied',
      would_denials: {
        total: 40,
        standing: 40,
        by_reason: { capability_not_declared: 30, worker_unknown: 10 },
        by_caller: [
          { spiffe_id: workerId('a'), denials: 30, stands: true, reasons: ['capability_not_declared'] },
          { spiffe_id: workerId('stranger'), denials: 10, stands: true, reasons: ['worker_unknown'] },
        ],
      },
    })
  })

  test('no longer counts what the current policy allows', () => {
    expect(of('use:fixed')).toMatchObject({ verdict: 'ready', would_denials: { total: 30, standing: 0 } })
  })

  test('looks as far back as it is told, and at as much as it is told', async () => {
    const longer = await report('--since', '30d', '--min-calls', '1', '--min-days', '1')
    const verdicts = new Map(longer.report.capabilities.map(({ capability, verdict }) => [capability, verdict]))
    expect(['use:ready', 'use:rare', 'use:one_day'].map((name) => verdicts.get(name))).toEqual([
      'ready',
      'ready',
      'ready',
    ])
    expect(longer.report.capabilities.find(({ capability }) => capability === 'use:ready')).toMatchObject({
      would_denials: { total: 1, standing: 0 },
    })
  })

  test('exits with 0 when all are ready or enforced', async () => {
    const enough = join(policies.dir, 'enough.jsonl')
    await writeAuditFile(enough, [{ who: 'stranger', capability: 'other:thing', decision: 'deny' }])
    await using enforced = await copyPolicies({ 'data/enforcement.json': '{"enforcement":{"default":"enforce"}}' })
    const { code, stdout } = await crank([
      'shadow',
      'report',
      '--audit',
      enough,
      '--policy',
      enforced.dir,
      '-o',
      'json',
    ])
    expect([code, (JSON.parse(stdout) as Report).ready]).toEqual([0, true])
  })
})

test('for people it is a table, and a line for each thing to look at', async () => {
  const { code, stdout, stderr } = await crank(['shadow', 'report', '--audit', audit, '--policy', policies.dir])
  expect(code).toBe(1)
  expect(stdout).toMatch(/^CAPABILITY +MODE +CALLS +DAYS +CALLERS +NEVER SEEN +WOULD DENY +EXCEPTIONS +VERDICT$/m)
  expect(stdout).toMatch(/^use:denied +mixed +40 .*not ready: 40 calls would be denied$/m)
  expect(stdout).toMatch(/^use:fixed +shadow .* 0 \(of 30\) .*ready/m)
  expect(stdout).toContain(`use:denied  would deny 30x ${workerId('a')}: capability_not_declared`)
  expect(stdout).toContain(`use:fixed  would deny 30x ${workerId('a')}: allowed by the current policy`)
  expect(stdout).toContain('use:ready  1x passed without a decision: the policy engine was down')
  expect(stdout).toContain(`use:ready  10x by exception ${workerId('stranger')}#*`)
  expect(stdout).toContain(`use:ready  never seen: ${workerId('b')}`)
  expect(stderr).toContain('5 of 8 are not ready')
})

test('lines that are no records, or of no capability, are passed over', async () => {
  const odd = join(policies.dir, 'odd.jsonl')
  await writeAuditFile(odd, [
    { who: 'a', capability: 'NO:CAPABILITY' },
    { who: '../x', capability: 'use:rare' },
  ])
  await writeFile(odd, 'no json\n{"v":1}\n', { flag: 'a' })
  const { stdout } = await crank(['shadow', 'report', '--audit', odd, '--policy', policies.dir, '-o', 'json'])
  const { capabilities } = JSON.parse(stdout) as Report
  expect(capabilities.map(({ calls }) => calls)).toEqual(capabilities.map(() => 0))
})

test.each([
  [['--since', 'yesterday'], '--since "yesterday": must be like'],
  [['--min-calls', 'many'], '--min-calls "many": must be a whole number'],
  [['--min-days', '-1'], '--min-days "-1": must be a whole number'],
  [['--policy', '/nowhere'], '/nowhere'],
  [['--audit', '/nowhere.jsonl'], 'there is no audit log at /nowhere.jsonl'],
])('%j is wrong usage', async (args, message) => {
  const { code, stderr } = await crank(['shadow', 'report', '--audit', audit, '--policy', policies.dir, ...args])
  expect(stderr).toContain(message)
  expect(code).toBe(2)
})
