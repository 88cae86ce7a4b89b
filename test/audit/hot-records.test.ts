// The laid-out records are those of the general serialiser, whatever comes from outside.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { policyDecision, routeOutcome, type Judgement } from '../../src/audit/event.ts'
import { recordText } from '../../src/audit/hot-records.ts'
import { MAX_TEXT, serialiseEvent } from '../../src/audit/serialise.ts'
import { ERRORS, type ErrorCode } from '../../src/core/errors.ts'
import { OUTCOMES } from '../../src/core/outcome.ts'
import { CAPABILITY, routeCall } from '../fixtures/route-call.ts'
import { policyInput, STREAMING } from '../fixtures/policy-input.ts'

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('quote " feed \n ESC \u001b[2J ü 😀', '\ud800', '', 'x'.repeat(MAX_TEXT + 1)),
)
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null })
const code = fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[]))
const reasons = fc.array(fc.record({ code: hostile, message: hostile }), { maxLength: 3 })
const said = fc.record({
  decision: fc.constantFrom('allow' as const, 'deny' as const, 'would_deny' as const),
  mode: fc.constantFrom('enforce' as const, 'shadow' as const),
  reasons,
  grounds: fc.array(hostile, { maxLength: 3 }),
  exception: maybe(hostile),
  policyVersion: maybe(hostile),
  repeats: maybe(fc.uuid()),
})
const trouble = fc.record({
  decision: fc.constant('error' as const),
  mode: fc.constant('enforce' as const),
  error: code,
})
const judgement = fc.oneof(said, trouble) as fc.Arbitrary<Judgement>
const number = fc.oneof(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.constantFrom(0, NaN, Infinity))
const id = fc.uuid()

const { trace } = routeCall()

test('a decision', () => {
  const asked = fc.record({
    engine: hostile,
    policyRevision: hostile,
    evaluationTimeMs: number,
    onBehalfOf: maybe(id),
    idempotencyKeyPresent: fc.boolean(),
    requestedPriority: fc.constantFrom(undefined, 'high' as const),
    retryOf: fc.option(id, { nil: undefined }),
  })
  fc.assert(
    fc.property(asked, judgement, (about, verdict) => {
      const input = policyInput(STREAMING, CAPABILITY)
      const event = policyDecision({ ...about, trace, input, route: '/route' }, verdict)
      expect(recordText(event)).toBe(serialiseEvent(event))
    }),
    { numRuns: 1000 },
  )
})

test('an outcome', () => {
  const attempt = fc.record({ worker_id: hostile, outcome: fc.constantFrom(...OUTCOMES) })
  const end = fc.record({
    atMs: fc.integer({ min: 0, max: 4e12 }),
    workerId: maybe(hostile),
    status: maybe(fc.integer({ min: 100, max: 599 })),
    outcome: fc.constantFrom(...OUTCOMES),
    error: maybe(code),
    durationMs: number,
    attempts: fc.nat(9),
    attemptsMade: fc.option(fc.array(attempt, { maxLength: 5 }), { nil: undefined }),
    idempotency: fc.constantFrom(undefined, 'stored' as const),
    originalDecisionId: fc.option(id, { nil: undefined }),
  })
  const { decisionId, caller: requester } = routeCall()
  fc.assert(
    fc.property(end, (ended) => {
      const event = routeOutcome({ decisionId, trace, requester, capability: CAPABILITY }, ended as never)
      expect(recordText(event)).toBe(serialiseEvent(event))
    }),
    { numRuns: 1000 },
  )
})

test('any other event', () => {
  const event = { event: 'controller_stopped', timestamp: 't', reason: 'SIGTERM' } as const
  expect(recordText(event)).toBe(serialiseEvent(event))
})
