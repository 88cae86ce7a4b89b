// One unbroken trace from a caller through the controller, a worker, the controller again, to a second worker.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import Type from 'typebox'
import { defineCapability, defineWorker } from '../../src/worker/define.ts'
import type { RunningWorker } from '../../src/worker/run.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { pdpAnswer, startFakePdp } from '../fakes/pdp.ts'
import { HELLO_SCHEMA } from '../fakes/worker.ts'
import { HELLO, postJson } from '../fixtures/mesh.ts'
import { startOpa } from '../fixtures/opa-server.ts'
import { startOtlpReceiver, type Span } from '../fixtures/otlp-receiver.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { treesOf } from '../fixtures/span-tree.ts'
import { startTracedMesh, type TracedMesh } from '../fixtures/traced-mesh.ts'
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

/** Under the name of the streaming worker, which may call hello_world: its one event is the greeting. */
const greeter = defineWorker({
  id: 'worker-streaming',
  requires: ['invoke:hello_world'],
  capabilities: [
    defineCapability({
      verb: 'stream',
      name: 'text_events',
      version: '1.0.0',
      input: Type.Object({ content: Type.String() }),
      output: Type.Object({ greeting: Type.String() }),
      streaming: true,
      handler: async function* ({ input, invoke }) {
        const { greeting } = (await invoke('invoke', 'hello_world', { message: input.content })) as { greeting: string }
        yield { data: { greeting } }
      },
    }),
  ],
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

describe('the spans', () => {
  test('of an allowed call say who called what, what policy said of it, and who did it', async () => {
    const { answer, traceId } = await traced.call('invoke', 'hello_world', { message: 'x' })
    const spans = await traced.spansOf(traceId, 'POST /route', 'worker_execute', 'policy.evaluate', 'POST /execute')
    const decisionId = answer.headers['x-decision-id']
    expect(answer.headers['x-trace-id']).toBe(traceId)
    expect(named(spans, 'POST /route').attributes).toMatchObject({
      'crank.requester': 'spiffe://crank.local/worker/streaming',
      'crank.capability': 'invoke:hello_world',
      'http.route': '/route',
      'http.response.status_code': 200,
    })
    expect(named(spans, 'policy.evaluate').attributes).toEqual({
      'policy.decision': 'allow',
      'policy.mode': 'enforce',
      'policy.engine': 'opa-wasm',
      'policy.revision': expect.stringMatching(/^[0-9a-f]{12}$/),
      'opa.decision_id': decisionId,
    })
    expect(named(spans, 'worker.select').attributes).toEqual({
      'crank.candidates': 1,
      'crank.worker_id': 'worker-hello-world',
    })
    expect(named(spans, 'POST /execute').attributes).toEqual({
      'crank.worker_id': 'worker-hello-world',
      'http.response.status_code': 200,
    })
    expect(named(spans, 'worker_execute').attributes).toMatchObject({
      worker_id: 'worker-hello-world',
      'crank.capability': 'invoke:hello_world',
      'crank.decision_id': decisionId,
    })
    expect(spans.filter(({ status }) => status.code !== 'UNSET')).toEqual([])
    const records = (await traced.mesh.audit()).filter((line) => line['decision_id'] === decisionId)
    expect(new Set(records.map((line) => line['trace_id'] as string))).toEqual(new Set([traceId]))
  })

  test('of a denied call carry the denial and are no errors', async () => {
    const { answer, traceId } = await traced.call('convert', 'document_to_pdf')
    expect(answer.status).toBe(403)
    const spans = await traced.spansOf(traceId, 'call', 'POST /route', 'policy.evaluate')
    expect(named(spans, 'policy.evaluate').attributes).toMatchObject({
      'policy.decision': 'deny',
      'policy.reason': 'capability_not_declared',
    })
    expect(named(spans, 'POST /route').attributes).toMatchObject({ 'http.response.status_code': 403 })
    expect(spans.filter(({ status }) => status.code === 'ERROR')).toEqual([])
    expect(spans).toHaveLength(3)
  })

  test('of a call that ends in 5xx are errors, and those of its decision are not', async () => {
    const { answer, traceId } = await traced.call('stream', 'sse_events')
    expect(answer.status).toBe(503)
    const spans = await traced.spansOf(traceId, 'POST /route', 'policy.evaluate', 'worker.select')
    expect(named(spans, 'POST /route').status.code).toBe('ERROR')
    expect(named(spans, 'policy.evaluate').status.code).toBe('UNSET')
  })

  test('of a registration are named after its route, and a denied one is no error', async () => {
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
        'http.response.status_code': 403,
      },
    })
    expect(spans.filter(({ status }) => status.code === 'ERROR')).toEqual([])
  })
})

test('trouble with the policy is an error of its span and of the request', async () => {
  const pdp = await startFakePdp(honestPdp)
  const own = await startTracedMesh({ env: { OPA_URL: pdp.origin, OPA_TIMEOUT_MS: '5000' } })
  pdp.answer((request) => (honestPdp.isProbe(request) ? honestPdp(request) : pdpAnswer({ allow: 'true' })))
  const { answer, traceId } = await own.call('invoke', 'hello_world')
  expect(answer).toMatchObject({ status: 503, body: { error: 'policy_engine_error' } })
  const spans = await own.spansOf(traceId, 'POST /route', 'policy.evaluate')
  expect(named(spans, 'policy.evaluate')).toMatchObject({
    status: { code: 'ERROR', message: 'policy_engine_error' },
    attributes: {
      'policy.decision': 'error',
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

test("OPA's own span stands below policy.evaluate in the same trace, and health checks make none", async () => {
  const receiver = await startOtlpReceiver()
  const opa = await startOpa({
    policyDir: POLICY_DIR,
    settings: {
      'distributed_tracing.type': 'grpc',
      'distributed_tracing.address': `127.0.0.1:${receiver.port}`,
      'distributed_tracing.service_name': 'opa',
      'distributed_tracing.sample_percentage': '0',
      'distributed_tracing.batch_span_processor_options.batch_timeout_ms': '50',
    },
  })
  const own = await startTracedMesh({ receiver, env: { OPA_URL: opa.url, OPA_TIMEOUT_MS: '5000' } })
  const { answer, traceId } = await own.call('convert', 'document_to_pdf')
  expect(answer.status).toBe(403)
  await receiver.waitFor((all) => all.some((span) => span.traceId === traceId && span.service === 'opa'))
  const spans = await own.spansOf(traceId, 'call', 'POST /route', 'policy.evaluate')
  const below = spans.filter(({ service }) => service === 'opa')
  // OPA makes two of them for one request: of its server, and of the route in it. Both are children of the caller's.
  for (const { kind, parentSpanId } of below) {
    expect({ kind, parentSpanId }).toEqual({ kind: 'SERVER', parentSpanId: named(spans, 'policy.evaluate').spanId })
  }
  expect(treesOf(spans)).toHaveLength(1)
  expect(receiver.spans().filter((span) => span.service === 'opa' && span.traceId !== traceId)).toEqual([])
  await own.close()
  await opa.stop()
})
