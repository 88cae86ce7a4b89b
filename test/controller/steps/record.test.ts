// What one verdict and one outcome leave behind: an audit record, a line of the log, counts. The metrics are the real ones.
import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import type { RouteCall, RouteOutcome } from '../../../src/controller/call.ts'
import { createMetrics } from '../../../src/controller/metrics/metrics.ts'
import { createRecorder } from '../../../src/controller/steps/record.ts'
import type { Decision } from '../../../src/core/decision.ts'
import { AppError } from '../../../src/core/errors.ts'
import type { Ruling } from '../../../src/core/ruling.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { policyInput } from '../../../src/policy/judge.ts'
import type { RegistrationVerdict, Verdict } from '../../../src/policy/verdict.ts'
import { CAPABILITY, routeCall } from '../../fixtures/route-call.ts'

const NOW = Date.parse('2026-11-24T10:00:00.000Z')
const COMMON = { mode: 'enforce', exception: null, policyVersion: '7', reasons: [], grounds: [] } as const
const ALLOW: Decision = { ...COMMON, decision: 'allow', grounds: ['declared'] }
const DENY: Decision = {
  ...COMMON,
  decision: 'deny',
  reasons: [{ code: 'capability_not_declared', message: 'worker/streaming does not declare it' }],
}
const TROUBLE = new AppError('policy_engine_unavailable')

function setUp(append: (event: AuditEvent) => Promise<void> = () => Promise.resolve()) {
  const events: AuditEvent[] = []
  const lines: Record<string, unknown>[] = []
  const used: string[] = []
  const riding: boolean[] = []
  const ended: (readonly [capability: string, outcome: string, code: string | undefined])[] = []
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  const metrics = createMetrics(registry)
  metrics.setKnownCapabilities([CAPABILITY])
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) }
  const recorder = createRecorder({
    append(event) {
      events.push(event)
      return append(event)
    },
    note(event, onLost, { rides = false } = {}) {
      events.push(event)
      riding.push(rides)
      append(event).catch(onLost)
    },
    log: createLogger({ level: 'debug', service: 'test', destination }),
    metrics,
    now: () => NOW,
    onExceptionUsed: (name) => used.push(name),
    onEnded: (capability, { outcome, error }) => ended.push([capability, outcome, error?.code]),
  })
  /** Series that are not zero. */
  const counted = async (name: string): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`) && !line.endsWith(' 0'))
  return { recorder, events, riding, lines, used, ended, counted }
}

/** The line of a verdict is written in a later turn. */
const written = (): Promise<void> => new Promise(setImmediate)

function verdictOn(call: RouteCall, ruling: Ruling, decision: Decision | undefined): Verdict {
  const about = { input: policyInput(call, call, NOW), evaluationMs: 2, engine: 'opa-wasm', revision: 'r1' }
  return { ...about, ruling, decision, ...(decision === undefined && { error: TROUBLE }) } as Verdict
}

describe('a verdict', () => {
  const rulings: readonly [Ruling, Decision | undefined, record: object, level: string, line: object][] = [
    [
      'allow',
      ALLOW,
      { mode: 'enforce', grounds: ['declared'], reasons: [], policy_version: '7', error: null },
      'info',
      { event: 'capability_access_allowed', reason: 'declared' },
    ],
    [
      'deny',
      DENY,
      { mode: 'enforce', reasons: DENY.reasons, error: null },
      'warn',
      { event: 'capability_access_denied', reason: 'worker/streaming does not declare it' },
    ],
    [
      'would_deny',
      { ...DENY, mode: 'shadow' },
      { mode: 'shadow', reasons: DENY.reasons },
      'warn',
      { event: 'capability_access_would_deny', reason: 'worker/streaming does not declare it' },
    ],
    [
      'error',
      undefined,
      { mode: 'enforce', reasons: [], policy_version: null, error: 'policy_engine_unavailable' },
      'error',
      { event: 'capability_access_undecided', error: 'policy_engine_unavailable', reason: TROUBLE.message },
    ],
    [
      'unevaluated',
      undefined,
      { mode: 'shadow', reasons: [], error: 'policy_engine_unavailable' },
      'error',
      { event: 'capability_access_unevaluated', error: 'policy_engine_unavailable' },
    ],
  ]
  for (const [ruling, decision, record, level, line] of rulings) {
    test(`${ruling} is in the audit log, the log and the metrics`, async () => {
      const { recorder, events, lines, counted } = setUp()
      const call = routeCall()
      await recorder.recordVerdict(call, verdictOn(call, ruling, decision))
      const ids = { decision_id: call.decisionId, trace_id: call.trace.traceId, span_id: call.trace.spanId }
      expect(events).toMatchObject([
        {
          event: 'policy_decision',
          ...ids,
          ...record,
          decision: ruling,
          requester_spiffe_id: call.caller,
          capability: CAPABILITY,
          route: '/route',
          engine: 'opa-wasm',
          policy_revision: 'r1',
          evaluation_time_ms: 2,
        },
      ])
      await written()
      expect(lines).toMatchObject([{ level, ...line, ...ids, requester: call.caller, capability: CAPABILITY }])
      expect(await counted('controller_policy_decisions_total')).toEqual([
        `controller_policy_decisions_total{capability="${CAPABILITY}",decision="${ruling}"} 1`,
      ])
    })
  }

  test('on the raw form names its route, and whether there was an idempotency key', async () => {
    const { recorder, events } = setUp()
    const call = routeCall({ form: 'raw', idempotencyKey: 'k' })
    await recorder.recordVerdict(call, verdictOn(call, 'allow', ALLOW))
    expect(events).toMatchObject([{ route: '/route/{verb}/{capability}', idempotency_key_present: true }])
  })

  test('is nowhere else before its record is durable', async () => {
    const durable = Promise.withResolvers<undefined>()
    const { recorder, lines, counted } = setUp(() => durable.promise)
    const call = routeCall()
    const recorded = recorder.recordVerdict(call, verdictOn(call, 'allow', ALLOW))
    await new Promise(setImmediate)
    expect([lines, await counted('controller_policy_decisions_total')]).toEqual([[], []])
    durable.resolve(undefined)
    await recorded
    await written()
    expect(lines).toHaveLength(1)
  })

  test('that cannot be recorded is refused, and neither counted nor logged', async () => {
    const { recorder, lines, used, counted } = setUp(() => Promise.reject(new AppError('audit_unavailable')))
    const call = routeCall()
    const verdict = verdictOn(call, 'allow', { ...ALLOW, exception: 'x' })
    await expect(recorder.recordVerdict(call, verdict)).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect([lines, used, await counted('controller_policy_decisions_total')]).toEqual([[], [], []])
  })

  test('counts as use of an exception where the exception let the call pass, and only there', async () => {
    const { recorder, used } = setUp()
    const call = routeCall()
    await recorder.recordVerdict(call, verdictOn(call, 'deny', { ...DENY, exception: 'expired' }))
    await recorder.recordVerdict(call, verdictOn(call, 'allow', ALLOW))
    expect(used).toEqual([])
    await recorder.recordVerdict(call, verdictOn(call, 'allow', { ...ALLOW, exception: 'live' }))
    expect(used).toEqual(['live'])
  })
})

describe('an outcome', () => {
  const outcome = (over: Partial<RouteOutcome> = {}): RouteOutcome => ({
    outcome: 'completed',
    status: 200,
    workerId: 'worker-a',
    attempts: 2,
    durationMs: 12.3456,
    firstByteMs: 3,
    error: undefined,
    effect: 'answered',
    ...over,
  })

  test('may wait for the next write, unless the call has a key', () => {
    const { recorder, riding } = setUp()
    recorder.recordOutcome(routeCall(), outcome())
    recorder.recordOutcome({ ...routeCall(), idempotencyKey: 'k' }, outcome())
    expect(riding).toEqual([true, false])
  })

  test('of a call that passed is passed on; so is a call that could not be recorded, unless it was denied', async () => {
    const { recorder, ended } = setUp()
    const call = routeCall()
    await recorder.recordVerdict(call, verdictOn(call, 'allow', ALLOW))
    expect(ended).toEqual([])
    recorder.recordOutcome(call, outcome({ outcome: 'timeout', error: new AppError('worker_timeout') }))
    expect(ended).toEqual([[CAPABILITY, 'timeout', 'worker_timeout']])

    const away = setUp(() => Promise.reject(new AppError('audit_unavailable')))
    await expect(away.recorder.recordVerdict(call, verdictOn(call, 'deny', DENY))).rejects.toThrow(AppError)
    await expect(away.recorder.recordVerdict(call, verdictOn(call, 'error', undefined))).rejects.toThrow(AppError)
    expect(away.ended).toEqual([])
    await expect(away.recorder.recordVerdict(call, verdictOn(call, 'allow', ALLOW))).rejects.toThrow(AppError)
    expect(away.ended).toEqual([[CAPABILITY, 'refused', 'audit_unavailable']])
  })

  test('is in the audit log and the metrics, with the worker and the time it took', async () => {
    const { recorder, events, counted } = setUp()
    const call = routeCall()
    recorder.recordOutcome(call, outcome())
    expect(events).toEqual([
      {
        event: 'route_outcome',
        timestamp: '2026-11-24T10:00:00.000Z',
        decision_id: call.decisionId,
        trace_id: call.trace.traceId,
        span_id: call.trace.spanId,
        requester_spiffe_id: call.caller,
        capability: CAPABILITY,
        worker_id: 'worker-a',
        status: 200,
        outcome: 'completed',
        error: null,
        duration_ms: 12.346,
        attempts: 2,
        attempts_made: null,
        idempotency: null,
        original_decision_id: null,
      },
    ])
    expect(await counted('controller_worker_attempts_total')).toEqual([
      'controller_worker_attempts_total{outcome="completed"} 2',
    ])
    expect(await counted('controller_route_duration_seconds_count')).toEqual([
      `controller_route_duration_seconds_count{capability="${CAPABILITY}",outcome="completed"} 1`,
    ])
  })

  const statuses: readonly [what: string, over: Partial<RouteOutcome>, status: number | null, error: string | null][] =
    [
      [
        'that failed',
        { outcome: 'timeout', status: 504, error: new AppError('worker_timeout') },
        504,
        'worker_timeout',
      ],
      ['whose caller left', { outcome: 'caller_left', status: 200 }, null, null],
      [
        'cut off before its answer',
        { outcome: 'shutdown', status: 503, error: new AppError('shutting_down') },
        null,
        'shutting_down',
      ],
      ['cut off in its answer', { outcome: 'shutdown', status: 200 }, 200, null],
    ]
  for (const [what, over, status, error] of statuses) {
    test(`${what} has the status that the caller got (${status ?? 'none'})`, () => {
      const { recorder, events } = setUp()
      recorder.recordOutcome(routeCall(), outcome(over))
      expect(events).toMatchObject([{ outcome: over.outcome, status, error }])
    })
  }

  test('that cannot be recorded is a line of the log, and no rejection', async () => {
    const { recorder, lines } = setUp(() => Promise.reject(new AppError('audit_unavailable')))
    const call = routeCall()
    recorder.recordOutcome(call, outcome())
    await new Promise(setImmediate)
    expect(lines).toMatchObject([{ level: 'error', event: 'audit_outcome_lost', decision_id: call.decisionId }])
  })
})

describe('a registration', () => {
  function registration(ruling: 'allow' | 'deny'): { call: RouteCall; verdict: RegistrationVerdict } {
    const call = routeCall()
    const resource = { worker_id: 'worker-streaming', worker_url: 'https://127.0.0.1:9', capabilities: [CAPABILITY] }
    const { input, ...about } = verdictOn(call, ruling, ruling === 'allow' ? ALLOW : DENY)
    return { call, verdict: { ...about, input: { ...input, resource } } }
  }
  for (const [ruling, level] of [
    ['allow', 'info'],
    ['deny', 'warn'],
  ] as const) {
    test(`with the ruling ${ruling} is in the audit log, the log and the metrics`, async () => {
      const { recorder, events, lines, counted } = setUp()
      const { call, verdict } = registration(ruling)
      await recorder.recordRegistration(call, verdict)
      expect(events).toMatchObject([
        {
          event: 'worker_registration',
          decision: ruling,
          worker_id: 'worker-streaming',
          worker_url: 'https://127.0.0.1:9',
          capabilities: [CAPABILITY],
        },
      ])
      const event = ruling === 'allow' ? 'worker_registration_allowed' : 'worker_registration_denied'
      expect(lines).toMatchObject([{ level, event, worker_id: 'worker-streaming', decision_id: call.decisionId }])
      expect(await counted('controller_registrations_total')).toEqual([
        `controller_registrations_total{decision="${ruling}"} 1`,
      ])
    })
  }

  test('that cannot be recorded is refused', async () => {
    const { recorder, lines } = setUp(() => Promise.reject(new AppError('audit_unavailable')))
    const { call, verdict } = registration('allow')
    await expect(recorder.recordRegistration(call, verdict)).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(lines).toEqual([])
  })
})
