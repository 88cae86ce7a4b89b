// Who exports no spans names none as a parent: what comes in goes on as it came, and without anything the next hop begins.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { RunningWorker } from '../../src/worker/run.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { startFakePdp, type FakePdp } from '../fakes/pdp.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { greeter } from '../fixtures/greeter.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { honestPdp } from '../fixtures/pdp-honest.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { treesOf } from '../fixtures/span-tree.ts'
import { startTracedMesh, type TracedMesh } from '../fixtures/traced-mesh.ts'

const CALL = { verb: 'invoke', capability: 'hello_world', payload: {} }
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = `00-${TRACE}-b7ad6b7169203331`

describe('a controller without an endpoint', () => {
  let pdp: FakePdp
  let mesh: Mesh
  let worker: FakeWorker
  /** The contexts of questions about calls. */
  const asked: (string | undefined)[] = []
  beforeAll(async () => {
    pdp = await startFakePdp((request) => {
      if (request.path.includes('/capability_access/') && !honestPdp.isProbe(request))
        asked.push(request.headers['traceparent'] as string | undefined)
      return honestPdp(request)
    })
    mesh = await startMesh({ env: { OPA_URL: pdp.origin } })
    worker = await startFakeWorker(mesh, greets)
    await worker.register()
  })
  afterAll(async () => {
    await worker.close()
    await mesh.close()
    await pdp.close()
  })
  afterEach(() => void asked.splice(0))

  for (const flags of ['00', '01', '02', '03']) {
    test(`sends worker and OPA the caller's own context with flags ${flags}, and keeps ids for answer and audit`, async () => {
      const traceparent = `${PARENT}-${flags}`
      const answer = await mesh.route(STREAMING, CALL, { traceparent, tracestate: 'a=1,,b=2' })
      expect({ status: answer.status, traceId: answer.headers['x-trace-id'] }).toEqual({ status: 200, traceId: TRACE })
      expect(worker.seen.at(-1)!.headers).toMatchObject({ traceparent, tracestate: 'a=1,,b=2' })
      expect(asked).toEqual([traceparent])
      const decisionId = answer.headers['x-decision-id']
      const record = await mesh.auditedAs(({ decision_id }) => decision_id === decisionId)
      expect(record).toMatchObject({
        trace_id: TRACE,
        span_id: expect.stringMatching(/^(?!b7ad6b7169203331)[0-9a-f]{16}$/),
      })
    })
  }

  test('sends neither of them a context of its own, and has ids for answer and audit all the same', async () => {
    const answer = await mesh.route(STREAMING, CALL)
    const traceId = answer.headers['x-trace-id']
    expect(traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/)
    expect(worker.seen.at(-1)!.headers).not.toHaveProperty('traceparent')
    expect(asked).toEqual([undefined])
    await mesh.auditedAs((line) => line['trace_id'] === traceId && line.event === 'policy_decision')
  })
})

describe('among those that export', () => {
  let traced: TracedMesh
  let workers: RunningWorker[]
  beforeAll(async () => {
    traced = await startTracedMesh()
    const { mesh, env } = traced
    workers = await Promise.all([
      startRealWorker(mesh, mesh.origin, createHelloWorld(), { env }),
      // It calls the other, and has no endpoint.
      startRealWorker(mesh, mesh.origin, greeter),
    ])
  })
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.close()))
    await traced.close()
  })

  test('a worker that exports nothing leaves no gap: its calls hang below the span that called it', async () => {
    const { answer, traceId } = await traced.call('stream', 'text_events', { content: 'Crank' })
    expect(answer.text).toContain('Hello, Crank!')
    const spans = await traced.spansOf(
      traceId,
      'call',
      'POST /route',
      'POST /route',
      'worker_execute',
      'POST /execute',
      'POST /execute',
    )
    expect(spans.filter(({ service }) => service === 'crank-worker-streaming')).toEqual([])
    expect(treesOf(spans)).toHaveLength(1)
    const [outer, inner] = spans
      .filter(({ name }) => name === 'POST /route')
      .sort((a, b) => Number(a.startNs - b.startNs))
    const execute = spans.find(({ name, parentSpanId }) => name === 'POST /execute' && parentSpanId === outer!.spanId)
    expect(inner!.parentSpanId).toBe(execute!.spanId)
  })

  test('a call that brings no context is a trace with its root at the controller', async () => {
    const answer = await traced.mesh.route(STREAMING, CALL)
    const spans = await traced.spansOf(
      answer.headers['x-trace-id'] as string,
      'POST /route',
      'worker_execute',
      'POST /execute',
    )
    expect(spans.find(({ name }) => name === 'POST /route')!.parentSpanId).toBeUndefined()
    expect(treesOf(spans)).toHaveLength(1)
  })

  test('flags of Trace Context level 2 reach the worker with the span that is its parent', async () => {
    const worker = await startFakeWorker(traced.mesh, greets)
    await worker.register({ workerId: 'worker-hello-world.fake' })
    await workers[0]!.close()
    for (const flags of ['02', '03']) {
      const headers = { traceparent: `${PARENT}-${flags}`, tracestate: 'a=1,' }
      expect((await traced.mesh.route(STREAMING, CALL, headers)).status).toBe(200)
      const seen = worker.seen.at(-1)!.headers
      expect(seen['traceparent']).toMatch(new RegExp(`^00-${TRACE}-(?!b7ad6b7169203331)[0-9a-f]{16}-${flags}$`))
      expect(seen['tracestate']).toBe('a=1,')
    }
    await worker.close()
  })
})
