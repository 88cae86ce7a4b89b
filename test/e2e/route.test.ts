// The way of a call on real TLS: allowed, denied, refused; each in the audit log with its trace id, each counted.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { verifyLog } from '../fixtures/audit-log.ts'

let mesh: Mesh
let worker: FakeWorker

beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(mesh, greets)
  expect((await worker.register()).body).toMatchObject({ status: 'registered', capabilities_registered: 1 })
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const hello = (payload?: unknown) => ({ verb: 'invoke', capability: 'hello_world', payload })

describe('an allowed call', () => {
  test('is answered by the worker, with the ids in the answer and two records in the audit log', async () => {
    const answer = await mesh.route(STREAMING, hello({ message: 'x' }), { traceparent: TRACEPARENT, tracestate: 'a=1' })
    expect(answer).toMatchObject({ status: 200, body: { greeting: 'hi' } })
    expect(answer.headers).toMatchObject({
      'x-worker-id': 'worker-hello-world',
      'x-trace-id': '0af7651916cd43dd8448eb211c80319c',
      'x-decision-id': expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
    })
    const decisionId = answer.headers['x-decision-id']
    const outcome = await mesh.auditedAs((line) => line.event === 'route_outcome' && line['decision_id'] === decisionId)
    const decision = (await mesh.audit()).find(
      (line) => line.event === 'policy_decision' && line['decision_id'] === decisionId,
    )
    expect(decision).toMatchObject({
      requester_spiffe_id: 'spiffe://crank.local/worker/streaming',
      capability: 'invoke:hello_world',
      decision: 'allow',
      mode: 'enforce',
      grounds: ['declared'],
      engine: 'opa-wasm',
      trace_id: '0af7651916cd43dd8448eb211c80319c',
    })
    expect(outcome).toMatchObject({ outcome: 'completed', status: 200, worker_id: 'worker-hello-world', attempts: 1 })
    expect(outcome.seq).toBeGreaterThan(decision!.seq)
  })

  test('reaches the worker with headers of our making and the payload byte for byte', async () => {
    const body =
      '{"verb":"invoke","capability":"hello_world","payload": {"n": 1795514400000000001, "s":"\\u0061"} ,"timeout_ms":5000,"idempotency_key":"k-1"}'
    const answer = await mesh.request(STREAMING, {
      path: '/route',
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        traceparent: TRACEPARENT,
        tracestate: 'a=1',
        'x-crank-caller': 'spiffe://crank.local/admin',
        'x-forwarded-client-cert': 'By=spiffe://evil',
        baggage: 'k=v',
        cookie: 'a=b',
        'last-event-id': '41',
      },
      body,
    })
    expect(answer.status).toBe(200)
    const { headers, body: received } = worker.seen.at(-1)!
    expect(received).toBe('{"n": 1795514400000000001, "s":"\\u0061"}')
    expect(headers).toMatchObject({
      'x-crank-caller': 'spiffe://crank.local/worker/streaming',
      'x-crank-capability': 'invoke:hello_world',
      'x-crank-decision-id': answer.headers['x-decision-id'],
      'idempotency-key': 'k-1',
      'x-crank-priority': 'normal',
      'last-event-id': '41',
      'content-type': 'application/json',
      tracestate: 'a=1',
    })
    expect(Number(headers['x-crank-deadline-ms'])).toBeGreaterThan(4000)
    // A controller that exports no spans hands it on as it came.
    expect(headers['traceparent']).toBe('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
    for (const name of ['x-forwarded-client-cert', 'baggage', 'cookie']) expect(headers[name]).toBeUndefined()
  })

  test('without a payload gives the worker null', async () => {
    await mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world' })
    expect(worker.seen.at(-1)!.body).toBe('null')
  })

  test('in the raw form passes any content type through', async () => {
    const answer = await mesh.request(STREAMING, {
      path: '/route/invoke/hello_world',
      method: 'POST',
      headers: { 'content-type': 'text/csv', 'idempotency-key': 'raw-1', 'x-crank-priority': 'high' },
      body: 'a;b\n1;2\n',
    })
    expect(answer.status).toBe(200)
    expect(worker.seen.at(-1)).toMatchObject({
      body: 'a;b\n1;2\n',
      headers: {
        'content-type': 'text/csv',
        'idempotency-key': 'raw-1',
        'content-length': '8',
        'x-crank-priority': 'high',
      },
    })
  })

  test('starts a new trace when the traceparent is malformed', async () => {
    const answer = await mesh.route(STREAMING, hello(), { traceparent: 'nonsense', tracestate: 'a=1' })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-trace-id']).toMatch(/^(?!0{32})[0-9a-f]{32}$/)
    const { traceparent, tracestate } = worker.seen.at(-1)!.headers
    // The worker begins its own: nobody would ever see a span of this one. The state belongs to a trace that is no more.
    expect({ traceparent, tracestate }).toEqual({ traceparent: undefined, tracestate: undefined })
  })
})

describe('a denied call', () => {
  test('is 403 with the reason of the policy, and nothing reaches a worker', async () => {
    const before = worker.seen.length
    const answer = await mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf', payload: {} })
    expect(answer).toMatchObject({
      status: 403,
      headers: { 'content-type': expect.stringContaining('application/problem+json') },
      body: {
        status: 403,
        error: 'capability_access_denied',
        reason: expect.stringContaining('not authorized'),
        reason_code: 'capability_not_declared',
        requester: 'spiffe://crank.local/worker/streaming',
        capability: 'convert:document_to_pdf',
        decision_id: answer.headers['x-decision-id'],
        trace_id: answer.headers['x-trace-id'],
      },
    })
    expect(worker.seen).toHaveLength(before)
    const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
    expect(record).toMatchObject({
      event: 'policy_decision',
      decision: 'deny',
      reasons: [{ code: 'capability_not_declared' }],
    })
  })

  test('is counted by capability', async () => {
    await mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' })
    await mesh.route(STREAMING, { verb: 'made', capability: 'up_by_the_caller' })
    const { text } = await mesh.admin('/metrics')
    expect(text).toMatch(/controller_policy_denials_total\{capability="convert:document_to_pdf"\} [1-9]/)
    expect(text).toMatch(/controller_policy_denials_total\{capability="other"\} [1-9]/)
    expect(text).toMatch(/controller_policy_decisions_total\{capability="invoke:hello_world",decision="allow"\} [1-9]/)
    expect(text).not.toContain('up_by_the_caller')
  })
})

describe('an allowed call that nobody can take', () => {
  test('is 503 no_worker_available with Retry-After when no worker is live', async () => {
    const answer = await mesh.route(STREAMING, { verb: 'stream', capability: 'text_events', payload: { content: 'a' } })
    expect(answer).toMatchObject({
      status: 503,
      headers: { 'retry-after': '5' },
      body: { error: 'no_worker_available' },
    })
    expect(answer.headers['x-worker-id']).toBeUndefined()
  })
})

describe('the catalogue', () => {
  test('shows live workers and capabilities to any verified peer, without their addresses', async () => {
    const workers = await mesh.request(HELLO, { path: '/workers' })
    expect(workers.body).toMatchObject({ workers: [{ worker_id: 'worker-hello-world', state: 'live' }] })
    expect(workers.text).not.toContain('127.0.0.1')
    const capabilities = await mesh.request(HELLO, { path: '/capabilities' })
    expect(capabilities.body.capabilities).toMatchObject([
      { capability: 'invoke:hello_world', providers: [{ worker_id: 'worker-hello-world', version: '1.0.0' }] },
    ])
    expect((await mesh.admin('/workers')).text).toContain(worker.url)
  })
})

describe('polls of the catalogue', () => {
  test('come in pages', async () => {
    const page = await mesh.request(HELLO, { path: '/workers?limit=1&after=a' })
    expect(page).toMatchObject({ status: 200, body: { workers: [{ worker_id: 'worker-hello-world' }] } })
    expect((await mesh.request(HELLO, { path: '/capabilities?after=zzz' })).body).toEqual({ capabilities: [] })
  })

  for (const path of [
    '/workers?limit=0',
    '/capabilities?limit=1001',
    '/workers?limits=1',
    '/workers?after=a&after=b',
  ]) {
    test(`that are refused are recorded: ${path}`, async () => {
      const answer = await mesh.request(HELLO, { path })
      expect(answer).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
      const decisionId = answer.headers['x-decision-id']
      const record = await mesh.auditedAs((line) => line['decision_id'] === decisionId)
      expect(record).toMatchObject({
        event: 'request_refused',
        error: 'request_invalid',
        requester_spiffe_id: 'spiffe://crank.local/worker/hello-world',
      })
    })
  }

  test('that are answered are counted and leave no record', async () => {
    const counted = async (): Promise<number> => {
      const { text } = await mesh.admin('/metrics')
      return Number(/^controller_requests_total\{route="\/workers",status_class="2xx"\} (\d+)$/m.exec(text)?.[1])
    }
    const before = await counted()
    const { headers } = await mesh.request(HELLO, { path: '/workers' })
    expect(await counted()).toBe(before + 1)
    // A record of a later request: one of this poll would stand before it.
    const later = await mesh.request(HELLO, { path: '/workers?limit=0' })
    await mesh.auditedAs((line) => line['decision_id'] === later.headers['x-decision-id'])
    expect((await mesh.audit()).filter((line) => line['decision_id'] === headers['x-decision-id'])).toEqual([])
  })
})

test('the audit chain verifies', async () => {
  expect(await verifyLog(mesh.auditLog)).toMatchObject({ ok: true, tornTailBytes: 0 })
})
