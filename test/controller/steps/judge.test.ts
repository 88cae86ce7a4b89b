// What the spans say of a ruling: shadow mode must not look like an allow in a trace.
import { SpanStatusCode, type Attributes, type Span, type SpanStatus, type Tracer } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import type { Asked } from '../../../src/controller/call.ts'
import { createJudge } from '../../../src/controller/steps/judge.ts'
import type { Decide, Decision, Mode } from '../../../src/core/decision.ts'
import { AppError } from '../../../src/core/errors.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'

class NotedSpan {
  readonly attributes: Attributes = {}
  status: SpanStatus | undefined
  ended = false
  setAttributes(attributes: Attributes): void {
    Object.assign(this.attributes, attributes)
  }
  setStatus(status: SpanStatus): void {
    this.status = status
  }
  isRecording() {
    return true
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
const trouble: Decide = () => Promise.reject(new AppError('policy_engine_unavailable'))

async function judged(decide: Decide, ownMode: Mode) {
  const server = new NotedSpan()
  const evaluation = new NotedSpan()
  const judge = createJudge({
    policy: { decide, engine: 'opa-wasm', revision: () => 'abc' },
    own: { modeOf: () => ownMode, isBlocked: () => false },
    tracer: { startSpan: () => evaluation as unknown as Span } as unknown as Tracer,
    monotonic: () => 0,
  })
  const input = policyInput(STREAMING, 'a:b')
  const asked = { decisionId: input.context.decision_id, span: server as unknown as Span } as Asked
  const { ruling } = await judge('capability_access', asked, input)
  expect(evaluation.ended).toBe(true)
  return { ruling, evaluation, server }
}

test('a would-be denial is marked on the span of its evaluation and on the request’s own', async () => {
  const { ruling, evaluation, server } = await judged(() => Promise.resolve(denial('shadow')), 'shadow')
  expect(ruling).toBe('would_deny')
  expect(evaluation.attributes).toMatchObject({
    'policy.decision': 'would_deny',
    'policy.mode': 'shadow',
    'policy.reason': 'capability_not_declared',
  })
  expect(evaluation.status).toBeUndefined()
  expect(server.attributes).toEqual({ 'policy.decision': 'would_deny', 'policy.mode': 'shadow' })
})

test('a denial is not marked on the request’s own span', async () => {
  const { evaluation, server } = await judged(() => Promise.resolve(denial('enforce')), 'shadow')
  expect(evaluation.attributes).toMatchObject({ 'policy.decision': 'deny', 'policy.mode': 'enforce' })
  expect(server.attributes).toEqual({})
})

test.each([
  ['shadow', 'unevaluated', { 'policy.decision': 'unevaluated', 'policy.mode': 'shadow' }],
  ['enforce', 'error', {}],
] as const)('no decision in mode %s is %s, and an error of the evaluation', async (mode, ruling, onServer) => {
  const found = await judged(trouble, mode)
  expect(found.ruling).toBe(ruling)
  expect(found.evaluation.attributes).toMatchObject({
    'policy.decision': ruling,
    'policy.mode': mode,
    'error.type': 'policy_engine_unavailable',
  })
  expect(found.evaluation.status).toEqual({ code: SpanStatusCode.ERROR, message: 'policy_engine_unavailable' })
  expect(found.server.attributes).toEqual(onServer)
})
