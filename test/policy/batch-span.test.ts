// The spans of recorded questions that go to a sidecar in a batch.
import { ROOT_CONTEXT, SpanKind } from '@opentelemetry/api'
import { TracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import { expect, test } from 'vitest'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { traceContextOf } from '../../src/platform/tracing/tracing.ts'
import { createOpaHttp } from '../../src/policy/engine/opa-http.ts'
import { createJudge } from '../../src/policy/judge.ts'
import { pdpAnswer, pdpResult, startFakePdp, type PdpRequest } from '../fakes/pdp.ts'
import { policyInput, STREAMING } from '../fixtures/policy-input.ts'

const allow = (asked: PdpRequest) => pdpAnswer(pdpResult(asked.body.input.context.decision_id))

test('beyond eight at a time, policy.evaluate links to the span of its batch, which OPA gets as parent', async () => {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const tracer = provider.getTracer('test')
  const released = Promise.withResolvers<undefined>()
  const pdp = await startFakePdp(async (asked) => {
    await released.promise
    return allow(asked)
  })
  const engine = createOpaHttp({ target: { kind: 'tcp', origin: pdp.origin }, timeoutMs: 20_000 })
  const judge = createJudge({
    policy: { decide: engine.decide, engine: engine.name, isRemote: true, revision: () => 'r' },
    own: { modeOf: () => 'enforce', isBlocked: () => false },
    tracer,
    monotonic: () => performance.now(),
  })
  const ask = async () => {
    const span = tracer.startSpan('POST /route', { kind: SpanKind.SERVER }, ROOT_CONTEXT)
    const input = policyInput(STREAMING, 'stream:text_events')
    const decisionId = input.context.decision_id
    const asked = { decisionId, caller: parseSpiffeId(STREAMING), span, trace: traceContextOf(span) }
    const { ruling } = await judge('capability_access', asked, input)
    span.end()
    return ruling
  }
  const rulings = Array.from({ length: 13 }, ask)
  await expect.poll(() => pdp.requests.length).toBe(10)
  released.resolve(undefined)
  expect(await Promise.all(rulings)).toEqual(rulings.map(() => 'allow'))
  await Promise.all([engine.close(), pdp.close()])

  const spans = exporter.getFinishedSpans()
  const [batch, ...others] = spans.filter(({ name }) => name === 'policy.evaluate_batch')
  const questions = spans.filter(({ name }) => name === 'policy.evaluate')
  const linked = questions.filter(({ links }) => links.length > 0)
  expect([others, questions.length, linked.length]).toEqual([[], 13, 3])
  expect(batch).toMatchObject({ kind: SpanKind.CLIENT, attributes: { 'policy.batch_size': 3 } })
  const { traceId, spanId } = batch!.spanContext()
  for (const { links } of linked) expect(links.map(({ context }) => context)).toMatchObject([{ traceId, spanId }])
  expect(linked.map((span) => span.spanContext().spanId)).toContain(batch!.parentSpanContext?.spanId)
  expect(pdp.requests.at(-1)!.headers['traceparent']).toContain(`${traceId}-${spanId}`)
})
