import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { createGuard, type Guard } from '../../../src/controller/live-policy/guard.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { createSelfCheck } from '../../../src/policy/engine/self-check.ts'
import type { Decide, Decision, PolicyEngine } from '../../../src/core/decision.ts'
import { AppError } from '../../../src/core/errors.ts'
import { POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'

const COMMON = { mode: 'enforce', exception: null, policyVersion: '1' } as const
const ALLOW: Decision = { ...COMMON, decision: 'allow', grounds: ['declared'], reasons: [] }
const DENY: Decision = {
  ...COMMON,
  decision: 'deny',
  grounds: [],
  reasons: [{ code: 'worker_unknown', message: 'no' }],
}

type Event = { readonly event: string; readonly reason?: string; readonly code?: string }
const READINESS: Readonly<Partial<Record<string, boolean>>> = {
  policy_ready: true,
  policy_self_check_failed: false,
  opa_unreachable: false,
}

let files: PolicyFiles
beforeAll(async () => {
  files = await loadPolicyFiles(POLICY_DIR, Date.now())
})

/** An engine that the test switches from one behaviour to another. */
function setUp(decide: Decide): {
  policy: Guard
  become: (next: Decide) => void
  events: Event[]
  /** Codes of the decisions that could not be made while it was ready. */
  troubles: () => (string | undefined)[]
  /** How readiness changed, from not ready. */
  changes: () => boolean[]
} {
  let current = decide
  const events: Event[] = []
  const record = (fields: object): void => void events.push(fields as Event)
  const engine: PolicyEngine = {
    name: 'opa-http',
    decide: (...question) => current(...question),
    close: () => Promise.resolve(),
  }
  const policy = createGuard({
    isRemote: true,
    inForce: () => ({ engine, files, revision: files.revision }),
    check: createSelfCheck({ engine, files, now: Date.now }),
    log: { info: record, warn: record, error: record },
    now: Date.now,
  })
  policies.push(policy)
  const troubles = () => events.filter(({ event }) => event === 'policy_trouble').map(({ code }) => code)
  const changes = () => {
    const states = events.flatMap(({ event }) => READINESS[event] ?? [])
    return states.filter((ready, index) => ready !== (states[index - 1] ?? false))
  }
  return { policy, become: (next) => (current = next), events, troubles, changes }
}

// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the wasm library throws strings
const rejectWith = (cause: unknown): Promise<never> => Promise.reject(cause)

const policies: Guard[] = []
afterEach(() => {
  for (const policy of policies.splice(0)) policy.stop()
})

const sane: Decide = (_question, { identity }) =>
  Promise.resolve(identity.spiffe_id.includes('stranger') ? DENY : ALLOW)
const silent: Decide = () => Promise.reject(new AppError('policy_engine_unavailable'))
const empty: Decide = () => Promise.reject(new AppError('policy_engine_error'))
const ask = ({ decide }: Guard): Promise<Decision> =>
  decide('capability_access', policyInput(STREAMING, 'stream:text_events'))
const untilReady = (policy: Guard, ok = true): Promise<void> =>
  vi.waitFor(() => expect(policy.ready().ok).toBe(ok), { timeout: 10_000, interval: 10 })

describe('at start', () => {
  test('nothing is decided before the self-check has passed', async () => {
    const { policy } = setUp(sane)
    expect(policy.ready()).toEqual({ ok: false, reason: 'the first self-check has not passed yet' })
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_not_ready' })
    await untilReady(policy)
    expect(await ask(policy)).toEqual(ALLOW)
  })

  test.each<[string, Decide, string]>([
    ['allows a stranger', () => Promise.resolve(ALLOW), 'the policy allows an unknown caller'],
    [
      'lets a stranger register',
      (question, input) => (question === 'worker_registration' ? Promise.resolve(ALLOW) : sane(question, input)),
      'the policy allows an unknown caller',
    ],
    ['denies everything', () => Promise.resolve(DENY), 'the policy denies a call that a manifest declares'],
    ['has no policy', empty, 'the policy engine gives no valid decision'],
    ['is not there', silent, 'the policy engine does not respond'],
    ['throws a string', () => rejectWith('boom'), 'the policy engine gives no valid decision'],
  ])('an engine that %s is not asked, and readiness says why', async (_what, decide, reason) => {
    const { policy } = setUp(decide)
    await vi.waitFor(() => expect(policy.ready()).toEqual({ ok: false, reason }), { timeout: 10_000 })
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_not_ready' })
  })

  test('it is asked again until it is ready', async () => {
    const { policy, become, events, changes } = setUp(silent)
    await vi.waitFor(() => expect(events).toHaveLength(1), { timeout: 10_000 })
    become(sane)
    await untilReady(policy)
    expect(events.map(({ event }) => event)).toEqual(['opa_unreachable', 'policy_ready'])
    expect(changes()).toEqual([true])
  })
})

describe('in service', () => {
  test.each<[string, () => Promise<Decision>, string]>([
    [
      'an AppError as it is',
      () => Promise.reject(new AppError('policy_engine_unavailable')),
      'policy_engine_unavailable',
    ],
    ['any other error as policy_engine_error', () => Promise.reject(new TypeError('x')), 'policy_engine_error'],
    ['a thrown string as policy_engine_error', () => rejectWith('trap'), 'policy_engine_error'],
    [
      'what it throws at once, too',
      () => {
        throw new RangeError('stack')
      },
      'policy_engine_error',
    ],
  ])('passes on %s', async (_what, decide, code) => {
    const { policy, become, troubles } = setUp(sane)
    await untilReady(policy)
    become((question, input) => (input.identity.spiffe_id === STREAMING ? decide() : sane(question, input)))
    await expect(ask(policy)).rejects.toMatchObject({ name: 'AppError', code })
    expect(troubles()).toEqual([code])
  })

  test('one timeout does not shut the door', async () => {
    const { policy, become, changes } = setUp(sane)
    await untilReady(policy)
    become(silent)
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
    become(sane)
    expect(await ask(policy)).toEqual(ALLOW)
    expect(changes()).toEqual([true])
  })

  test('an outage shuts the door, refuses without asking, is logged once, and ends by itself', async () => {
    const { policy, become, events, changes } = setUp(sane)
    await untilReady(policy)
    become(silent)
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
    await untilReady(policy, false)
    const asked = vi.fn(silent)
    become((question, input) =>
      input.identity.spiffe_id === STREAMING ? asked(question, input) : silent(question, input),
    )
    for (let n = 0; n < 5; n++) await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
    expect(asked).not.toHaveBeenCalled()
    become(sane)
    await untilReady(policy)
    expect(events.map(({ event }) => event)).toEqual([
      'policy_ready',
      'policy_trouble',
      'opa_unreachable',
      'policy_ready',
    ])
    expect(changes()).toEqual([true, false, true])
  })

  test('trouble with a call is logged with the ids that the call is found by', async () => {
    const { policy, become, events } = setUp(sane)
    await untilReady(policy)
    become(silent)
    const input = policyInput(STREAMING, 'stream:text_events')
    const trace = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true }
    await policy.decide('capability_access', input, trace).catch(() => undefined)
    expect(events).toContainEqual(
      expect.objectContaining({
        event: 'policy_trouble',
        trace_id: trace.traceId,
        span_id: trace.spanId,
        decision_id: input.context.decision_id,
      }),
    )
  })

  test('an engine that comes back empty stays out, under another name', async () => {
    const { policy, become, events } = setUp(sane)
    await untilReady(policy)
    become(silent)
    await ask(policy).catch(() => undefined)
    await untilReady(policy, false)
    become(empty)
    await vi.waitFor(() => expect(events.at(-1)?.event).toBe('policy_self_check_failed'), { timeout: 10_000 })
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_not_ready' })
  })

  test('an allow that is on its way when the self-check fails is not given out', async () => {
    const { policy, become } = setUp(sane)
    await untilReady(policy)
    const late = Promise.withResolvers<Decision>()
    become((_question, { identity }) => (identity.spiffe_id === STREAMING ? late.promise : Promise.resolve(ALLOW)))
    const waiting = ask(policy)
    const refused = expect(waiting).rejects.toMatchObject({ code: 'policy_not_ready' })
    become((_question, { identity }) =>
      identity.spiffe_id === STREAMING ? Promise.reject(new Error('x')) : Promise.resolve(ALLOW),
    )
    await ask(policy).catch(() => undefined)
    await untilReady(policy, false)
    late.resolve(ALLOW)
    await refused
  })
})
