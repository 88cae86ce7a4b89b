// What the spans say of a ruling: shadow mode must not look like an allow in a trace.
import { SpanStatusCode, type Attributes, type Span, type SpanStatus, type Tracer } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import type { Asker } from '../../src/policy/verdict.ts'
import { createJudge } from '../../src/policy/judge.ts'
import type { Decide, Decision, Mode } from '../../src/core/decision.ts'
import { AppError } from '../../src/core/errors.ts'
import { policyInput, STREAMING } from '../fixtures/policy-input.ts'

class NotedSpan {
  readonly attributes: Attributes = {}
  readonly recording: boolean
  status: SpanStatus | undefined
  ended = false
  constructor(recording: boolean) {
    this.recording = recording
  }
  setAttributes(attributes: Attributes): void {
    Object.assign(this.attributes, attributes)
  }
  setAttribute(name: string, value: string): void {
    this.attributes[name] = value
  }
  setStatus(status: SpanStatus): void {
    this.status = status
  }
  isRecording() {
    return this.recording
  }
  spanContext() {
    return { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }
  }
  end(): void {
    this.ended = true
  }
}

const denial = (mode: Mode): Decision => {
  const reasons = [{ code: 'capability_not_declared', message: 'no' }]
  return { decision: 'deny', mode, reasons, grounds: [], exception: null, policyVersion: '1' }
}
const allowance: Decision = {
  decision: 'allow',
  mode: 'enforce',
  reasons: [],
  grounds: ['declared'],
  exception: null,
  policyVersion: '1',
  revision: 'newer',
}
const trouble: Decide = () => Promise.reject(new AppError('policy_engine_unavailable'))

/** `recording`: whether the span of the evaluation is sampled, and whether that of the request has not ended. */
async function judged(decide: Decide, ownMode: Mode, recording = { evaluation: true, server: true }) {
  const server = new NotedSpan(recording.server)
  const evaluation = new NotedSpan(recording.evaluation)
  const judge = createJudge({
    policy: { decide, engine: 'opa-wasm', isRemote: false, revision: () => 'abc' },
    own: { modeOf: () => ownMode, isBlocked: () => false },
    tracer: { startSpan: () => evaluation as unknown as Span } as unknown as Tracer,
    monotonic: () => 0,
  })
  const input = policyInput(STREAMING, 'a:b')
  const asked = { decisionId: input.context.decision_id, span: server as unknown as Span } as Asker
  const { ruling } = await judge('capability_access', asked, input)
  expect(evaluation.ended).toBe(true)
  return { ruling, evaluation, server, decisionId: asked.decisionId }
}

test('a decision is recorded on the span of its evaluation and, where an operator searches, on the request’s own', async () => {
  const { evaluation, server, decisionId } = await judged(() => Promise.resolve(allowance), 'shadow')
  const decision = { 'policy.decision': 'allow', 'policy.mode': 'enforce', 'policy.reason': 'declared' }
  expect(evaluation.attributes).toEqual({
    ...decision,
    'policy.engine': 'opa-wasm',
    // The revision of the policy that decided, not of the current one.
    'policy.revision': 'newer',
    'opa.decision_id': decisionId,
  })
  // Its decision id it has from the beginning.
  expect(server.attributes).toEqual(decision)
  expect(evaluation.status).toBeUndefined()
})

test('a would-be denial does not look like an allow on either', async () => {
  const { ruling, evaluation, server } = await judged(() => Promise.resolve(denial('shadow')), 'shadow')
  expect(ruling).toBe('would_deny')
  for (const { attributes } of [evaluation, server]) {
    expect(attributes).toMatchObject({
      'policy.decision': 'would_deny',
      'policy.mode': 'shadow',
      'policy.reason': 'capability_not_declared',
    })
  }
})

test('a denial is recorded with its reason, and is not an error', async () => {
  const { evaluation, server } = await judged(() => Promise.resolve(denial('enforce')), 'shadow')
  const told = { 'policy.decision': 'deny', 'policy.mode': 'enforce', 'policy.reason': 'capability_not_declared' }
  expect(evaluation.attributes).toMatchObject(told)
  expect(server.attributes).toMatchObject(told)
  expect(evaluation.status).toBeUndefined()
})

test.each([
  ['shadow', 'unevaluated'],
  ['enforce', 'error'],
] as const)('no decision in mode %s is %s, and an error of the evaluation', async (mode, ruling) => {
  const { evaluation, server, ...found } = await judged(trouble, mode)
  expect(found.ruling).toBe(ruling)
  const told = { 'policy.decision': ruling, 'policy.mode': mode, 'policy.reason': 'policy_engine_unavailable' }
  expect(evaluation.attributes).toMatchObject({ ...told, 'error.type': 'policy_engine_unavailable' })
  expect(evaluation.status).toEqual({ code: SpanStatusCode.ERROR, message: 'policy_engine_unavailable' })
  expect(server.attributes).toMatchObject(told)
  expect(server.status).toBeUndefined()
})

test('writes nothing to a span that is not recorded or has ended', async () => {
  const decide: Decide = () => Promise.resolve(allowance)
  const unsampled = await judged(decide, 'enforce', { evaluation: false, server: false })
  expect([unsampled.evaluation.attributes, unsampled.server.attributes]).toEqual([{}, {}])
  const left = await judged(decide, 'enforce', { evaluation: true, server: false })
  expect(left.evaluation.attributes).toMatchObject({ 'policy.decision': 'allow' })
  expect(left.server.attributes).toEqual({})
})
