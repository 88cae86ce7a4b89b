// One unbroken trace from a caller through the controller, a worker, the controller again, to a second worker.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningWorker } from '../../src/worker/run.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { pdpAnswer, startFakePdp } from '../fakes/pdp.ts'
import { HELLO_SCHEMA } from '../fakes/worker.ts'
import { greeter } from '../fixtures/greeter.ts'
import { HELLO, postJson } from '../fixtures/mesh.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { startOtlpReceiver, type Span } from '../../scripts/lab/otlp-receiver.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { outsideTheirParents, treesOf } from '../fixtures/span-tree.ts'
import { startTracedMesh, type TracedAnswer, type TracedMesh } from '../fixtures/traced-mesh.ts'
import { honestPdp } from '../fixtures/pdp-honest.ts'

let traced: TracedMesh
let workers: RunningWorker[]
beforeAll(async () => {
  traced = await startTracedMesh()
  const { mesh, env } = traced
  workers = await Promise.all([
    startRealWorker(mesh, mesh.origin, createHelloWorld(), { env }),
    startRealWorker(mesh, mesh.origin, greeter, { env }),
  ])
})
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close()))
  await traced.close()
})

const named = (spans: Span[], name: string): Span => spans.find((span) => span.name === name)!

test('a call through two workers is one tree, with the kinds and service names that link it', async () => {
  const { answer, traceId } = await traced.call('stream', 'text_events', { content: 'Crank' })
  expect(answer.status).toBe(200)
  expect(answer.text).toContain('Hello, Crank!')
  const twice = ['POST /route', 'worker_execute', 'POST /execute', 'policy.evaluate', 'worker.select']
  const spans = await traced.spansOf(traceId, 'call', ...twice, ...twice)
  const routed = (worker: string, children: object[] = []) => ({
    span: 'crank-controller: POST /route SERVER',
    children: [
      {
        span: 'crank-controller: POST /execute CLIENT',
        children: [{ span: `crank-worker-${worker}: worker_execute SERVER`, children }],
      },
      { span: 'crank-controller: policy.evaluate INTERNAL', children: [] },
      { span: 'crank-controller: worker.select INTERNAL', children: [] },
    ],
  })
  const second = { span: 'crank-worker-streaming: invoke CLIENT', children: [routed('hello-world')] }
  expect(treesOf(spans)).toEqual([{ span: 'test-caller: call CLIENT', children: [routed('streaming', [second])] }])
})

test('no span of a call lies outside its parent, and none begins at a whole millisecond by rounding', async () => {
  const starts: bigint[] = []
  for (const content of ['a', 'b', 'c', 'd']) {
    const { traceId } = await traced.call('stream', 'text_events', { content })
    const twice = ['POST /route', 'worker_execute', 'POST /execute', 'policy.evaluate', 'worker.select']
    const spans = await traced.spansOf(traceId, 'call', 'invoke', ...twice, ...twice)
    expect(outsideTheirParents(spans)).toEqual([])
    starts.push(...spans.map(({ startNs }) => startNs % 1_000_000n))
  }
  expect(new Set(starts).size).toBeGreaterThan(starts.length / 2)
})

describe('the spans', () => {
  test('of an allowed call say who called what, what policy said of it, and who did it', async () => {
    const { answer, traceId } = await traced.call('invoke', 'hello_world', { message: 'x' })
    const spans = await traced.spansOf(traceId, 'POST /route', 'worker_execute', 'policy.evaluate', 'POST /execute')
    const decisionId = answer.headers['x-decision-id']
    expect(answer.headers['x-trace-id']).toBe(traceId)
    const decision = {
      'policy.decision': 'allow',
      'policy.mode': 'enforce',
      'policy.reason': 'declared',
      'opa.decision_id': decisionId,
    }
    // All that an operator searches for is on the request's own span.
    expect(named(spans, 'POST /route').attributes).toEqual({
      ...decision,
      'crank.requester': 'spiffe://crank.local/worker/streaming',
      'crank.origin': 'spiffe://crank.local/worker/streaming',
      'crank.depth': 0,
      'crank.capability': 'invoke:hello_world',
      'crank.worker_id': 'worker-hello-world',
      'http.request.method': 'POST',
      'http.route': '/route',
      'http.response.status_code': 200,
      'url.scheme': 'https',
    })
    expect(named(spans, 'policy.evaluate').attributes).toEqual({
      ...decision,
      'policy.engine': 'opa-wasm',
      'policy.revision': expect.stringMatching(/^[0-9a-f]{12}$/),
    })
    expect(named(spans, 'worker.select').attributes).toEqual({
      'crank.candidates': 1,
      'crank.worker_id': 'worker-hello-world',
    })
    expect(named(spans, 'POST /execute').attributes).toEqual({
      'crank.worker_id': 'worker-hello-world',
      'http.response.status_code': 200,
    })
    expect(named(spans, 'worker_execute').attributes).toEqual({
      worker_id: 'worker-hello-world',
      'crank.worker_id': 'worker-hello-world',
      'crank.requester': 'spiffe://crank.local/worker/streaming',
      'crank.capability': 'invoke:hello_world',
      'opa.decision_id': decisionId,
    })
    expect(spans.filter(({ status }) => status.code !== 'UNSET')).toEqual([])
    const records = (await traced.mesh.audit()).filter((line) => line['decision_id'] === decisionId)
    expect(new Set(records.map((line) => line['trace_id'] as string))).toEqual(new Set([traceId]))
  })

  test('of a denied call carry the denial and are no errors', async () => {
    const { answer, traceId } = await traced.call('convert', 'document_to_pdf')
    expect(answer.status).toBe(403)
    const spans = await traced.spansOf(traceId, 'call', 'POST /route', 'policy.evaluate')
    const denial = { 'policy.decision': 'deny', 'policy.reason': 'capability_not_declared' }
    expect(named(spans, 'policy.evaluate').attributes).toMatchObject(denial)
    expect(named(spans, 'POST /route').attributes).toMatchObject({
      ...denial,
      'opa.decision_id': answer.headers['x-decision-id'],
      'http.response.status_code': 403,
    })
    expect(named(spans, 'POST /route').attributes).not.toHaveProperty('crank.worker_id')
    expect(spans.filter(({ status }) => status.code === 'ERROR')).toEqual([])
    expect(spans).toHaveLength(3)
  })

  test('of a call that ends in 5xx are errors, and those of its decision are not', async () => {
    const { answer, traceId } = await traced.call('stream', 'sse_events')
    expect(answer.status).toBe(503)
    const spans = await traced.spansOf(traceId, 'POST /route', 'policy.evaluate', 'worker.select')
    expect(named(spans, 'POST /route')).toMatchObject({
      status: { code: 'ERROR' },
      attributes: { 'error.type': 'no_worker_available' },
    })
    expect(named(spans, 'policy.evaluate').status.code).toBe('UNSET')
  })

  test('of a request that is refused before a decision have its decision id and no query', async () => {
    const { status, headers } = await traced.mesh.request(HELLO, postJson('/nowhere?token=abc', {}))
    expect(status).toBe(404)
    const spans = await traced.spansOf(headers['x-trace-id'] as string, 'POST unknown')
    expect(spans).toMatchObject([
      {
        parentSpanId: undefined,
        attributes: { 'url.path': '/nowhere', 'opa.decision_id': headers['x-decision-id'] },
      },
    ])
  })

  test('of a registration are named after its route, and a denied one is not an error', async () => {
    const body = { worker_id: 'worker-streaming', worker_url: 'https://127.0.0.1:1', capabilities: [HELLO_SCHEMA] }
    const answer = await traced.mesh.request(HELLO, postJson('/register', body))
    expect(answer).toMatchObject({ status: 403, body: { error: 'registration_denied' } })
    const traceId = answer.headers['x-trace-id'] as string
    const spans = await traced.spansOf(traceId, 'POST /register', 'policy.evaluate')
    expect(named(spans, 'policy.evaluate').parentSpanId).toBe(named(spans, 'POST /register').spanId)
    expect(named(spans, 'POST /register')).toMatchObject({
      kind: 'SERVER',
      attributes: {
        'crank.requester': 'spiffe://crank.local/worker/hello-world',
        'policy.decision': 'deny',
        'opa.decision_id': answer.headers['x-decision-id'],
        'http.response.status_code': 403,
      },
    })
    expect(spans.filter(({ status }) => status.code === 'ERROR')).toEqual([])
  })
})

test('trouble with the policy is an error of its span and of the request', async () => {
  const pdp = await startFakePdp(honestPdp)
  const own = await startTracedMesh({ env: { OPA_URL: pdp.origin } })
  pdp.answer((request) => (honestPdp.isProbe(request) ? honestPdp(request) : pdpAnswer({ allow: 'true' })))
  const { answer, traceId } = await own.call('invoke', 'hello_world')
  expect(answer).toMatchObject({ status: 503, body: { error: 'policy_engine_error' } })
  const spans = await own.spansOf(traceId, 'POST /route', 'policy.evaluate')
  expect(named(spans, 'policy.evaluate')).toMatchObject({
    status: { code: 'ERROR', message: 'policy_engine_error' },
    attributes: {
      'policy.decision': 'error',
      'policy.reason': 'policy_engine_error',
      'policy.engine': 'opa-http',
      'policy.revision': expect.stringMatching(/^[0-9a-f]{12}$/),
      'opa.decision_id': answer.headers['x-decision-id'],
      'error.type': 'policy_engine_error',
    },
  })
  expect(named(spans, 'POST /route').status.code).toBe('ERROR')
  await own.close()
  await pdp.close()
})

/** Where OPA sends its spans: to a receiver of ours, as soon as it has any. */
const opaTracing = (port: number, samplePercentage: string): Record<string, string> => ({
  'distributed_tracing.type': 'grpc',
  'distributed_tracing.address': `127.0.0.1:${port}`,
  'distributed_tracing.service_name': 'opa',
  'distributed_tracing.sample_percentage': samplePercentage,
  'distributed_tracing.batch_span_processor_options.batch_timeout_ms': '50',
})

test('questions that no request asks make no spans even of an OPA that samples all: only its health checks do', async () => {
  const receiver = await startOtlpReceiver()
  const opa = await startOpa({ policyDir: POLICY_DIR, settings: opaTracing(receiver.port, '100') })
  const own = await startTracedMesh({ receiver, env: { OPA_URL: opa.url } })
  const { traceId } = await own.call('convert', 'document_to_pdf')
  const spans = await receiver.waitFor((all) => all.some((span) => span.traceId === traceId && span.service === 'opa'))
  const others = spans.filter((span) => span.service === 'opa' && span.traceId !== traceId)
  expect(new Set(others.map(({ name }) => name))).toEqual(new Set(['GET /health']))
  await own.close()
  await opa.stop()
})

describe("OPA's own spans", () => {
  const UNSAMPLED = '4bf92f3577b34da6a3ce929d0e0e4736'
  let opa: OpaServer
  let own: TracedMesh
  let seen: TracedAnswer
  beforeAll(async () => {
    const receiver = await startOtlpReceiver()
    opa = await startOpa({
      policyDir: POLICY_DIR,
      settings: {
        ...opaTracing(receiver.port, '0'),
        'decision_logs.console': 'true',
      },
      more: ['--log-format=json'],
    })
    own = await startTracedMesh({ receiver, env: { OPA_URL: opa.url } })
    const body = { verb: 'convert', capability: 'document_to_pdf' }
    await own.mesh.route(HELLO, body, { traceparent: `00-${UNSAMPLED}-00f067aa0ba902b7-00` })
    seen = await own.call('convert', 'document_to_pdf')
    // One of OPA's two spans has the id, and they need not come together.
    await receiver.waitFor((all) =>
      all.some(
        ({ traceId, service, attributes }) =>
          traceId === seen.traceId && service === 'opa' && 'opa.decision_id' in attributes,
      ),
    )
  })
  afterAll(async () => {
    await own.close()
    await opa.stop()
  })

  test('stand directly below policy.evaluate, in one tree with it', async () => {
    expect(seen.answer.status).toBe(403)
    const spans = await own.spansOf(seen.traceId, 'call', 'POST /route', 'policy.evaluate')
    expect(named(spans, 'policy.evaluate').kind).toBe('CLIENT')
    expect(outsideTheirParents(spans, 200_000n)).toEqual([])
    // OPA makes two of them for one request: of its server, and of the route in it. Both are children of the caller's.
    for (const { kind, parentSpanId } of spans.filter(({ service }) => service === 'opa')) {
      expect({ kind, parentSpanId }).toEqual({ kind: 'SERVER', parentSpanId: named(spans, 'policy.evaluate').spanId })
    }
    expect(treesOf(spans)).toHaveLength(1)
  })

  test('are made of sampled calls only: of no other, no health check and no self-check', () => {
    const others = own.receiver.spans().filter((span) => span.service === 'opa' && span.traceId !== seen.traceId)
    expect(others).toEqual([])
  })

  test("carry OPA's own decision id, whose log line holds ours and the ids of the trace", async () => {
    const spans = await own.spansOf(seen.traceId, 'policy.evaluate')
    const ours = seen.answer.headers['x-decision-id']
    expect(named(spans, 'policy.evaluate').attributes['opa.decision_id']).toBe(ours)
    const opaSpan = spans.find(({ service, attributes }) => service === 'opa' && 'opa.decision_id' in attributes)!
    const lines = opa
      .output()
      .split('\n')
      .filter((line) => line.includes(String(ours)))
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      {
        msg: 'Decision Log',
        decision_id: opaSpan.attributes['opa.decision_id'],
        trace_id: seen.traceId,
        span_id: opaSpan.spanId,
        input: { context: { decision_id: ours } },
      },
    ])
    expect(opaSpan.attributes['opa.decision_id']).not.toBe(ours)
  })
})
