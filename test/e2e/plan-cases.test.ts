// The plan's own two cases, by its names, with the real workers on real TLS.
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningWorker } from '../../src/worker/run.ts'
import { parseEvents } from '../../src/worker/sse.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { createStreaming } from '../../src/workers/streaming.ts'
import { postJson, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'

let mesh: Mesh
let workers: RunningWorker[]
beforeAll(async () => {
  mesh = await startMesh()
  const start = startRealWorker.bind(undefined, mesh, mesh.origin)
  workers = await Promise.all([start(createHelloWorld()), start(createStreaming())])
})
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close()))
  await mesh.close()
})

test("the plan's first test, by its own body: streaming calls stream:text_events: 200", async () => {
  const answer = await mesh.route(STREAMING, { verb: 'stream', capability: 'text_events' })
  expect(answer.status).toBe(200)
  expect(answer.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-worker-id': 'worker-streaming' })
  const [event] = await Array.fromAsync(parseEvents(Readable.from([Buffer.from(answer.text)])))
  expect(JSON.parse(event!.data)).toMatchObject({
    chunk_id: 0,
    content: 'Every call through the controller is decided, recorded and only then made.',
    is_last: true,
  })
})

test('streaming calls stream:text_events with a text of its own: 200', async () => {
  const pool = await mesh.client(STREAMING)
  const call = { verb: 'stream', capability: 'text_events', payload: { content: 'one two three', chunk_size: 1 } }
  const { statusCode, headers, body } = await pool.request({ ...postJson('/route', call), method: 'POST' })
  expect(statusCode).toBe(200)
  expect(headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-worker-id': 'worker-streaming' })
  const events = await Array.fromAsync(parseEvents(body), ({ id, data }) => ({ id, data: JSON.parse(data) as unknown }))
  expect(events).toMatchObject([
    { id: '0', data: { chunk_id: 0, content: 'one', is_last: false } },
    { id: '1', data: { chunk_id: 1, content: 'two', is_last: false } },
    { id: '2', data: { chunk_id: 2, content: 'three', is_last: true } },
  ])
})

test('streaming calls convert:document_to_pdf: 403, error is capability_access_denied, reason contains not authorized', async () => {
  const answer = await mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf', payload: {} })
  expect(answer.status).toBe(403)
  expect(answer.body).toMatchObject({
    error: 'capability_access_denied',
    reason: expect.stringContaining('not authorized'),
    requester: 'spiffe://crank.local/worker/streaming',
    capability: 'convert:document_to_pdf',
  })
  expect(answer.headers['x-worker-id']).toBeUndefined()
})

test('streaming calls invoke:hello_world: 200 with the greeting', async () => {
  const answer = await mesh.route(STREAMING, {
    verb: 'invoke',
    capability: 'hello_world',
    payload: { message: 'Crank', options: { uppercase: true } },
  })
  expect(answer).toMatchObject({
    status: 200,
    headers: { 'x-worker-id': 'worker-hello-world' },
    body: { greeting: 'HELLO, CRANK!' },
  })
})

test('a declared error of the worker reaches the caller as the worker gave it', async () => {
  const answer = await mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: { message: '' } })
  expect(answer).toMatchObject({
    status: 400,
    headers: { 'x-worker-id': 'worker-hello-world' },
    body: { error: 'INVALID_INPUT' },
  })
})
