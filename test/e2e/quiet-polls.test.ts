// What everybody asks every few seconds leaves no span while it goes well; what fails names its worker.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningWorker } from '../../src/worker/run.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { HELLO, postJson, STREAMING } from '../fixtures/mesh.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { startTracedMesh, type TracedMesh } from '../fixtures/traced-mesh.ts'

let traced: TracedMesh
let worker: RunningWorker
beforeAll(async () => {
  // Real heartbeats, ten a second.
  traced = await startTracedMesh({ env: { CRANK_HEARTBEAT_INTERVAL_MS: '100' } })
  worker = await startRealWorker(traced.mesh, traced.mesh.origin, createHelloWorld(), { env: traced.env })
})
afterAll(async () => {
  await worker.close()
  await traced.close()
})

const names = (): Set<string> => new Set(traced.receiver.spans().map(({ name }) => name))

async function heartbeats(): Promise<number> {
  const { text } = await traced.mesh.admin('/metrics')
  const [, count] = /controller_requests_total\{route="\/heartbeat",status_class="2xx"\} (\d+)/.exec(text) ?? []
  return Number(count)
}

test('heartbeats and polls that go well leave no span, at the controller or at the worker', async () => {
  await expect.poll(heartbeats).toBeGreaterThanOrEqual(3)
  for (const path of ['/workers', '/capabilities']) {
    expect((await traced.mesh.request(STREAMING, { method: 'GET', path })).status).toBe(200)
    expect((await traced.mesh.admin('/workers')).status).toBe(200)
  }
  // All spans of a call that began after them are there: then theirs would be too.
  const { traceId } = await traced.call('invoke', 'hello_world', { message: 'x' })
  await traced.spansOf(
    traceId,
    'call',
    'POST /route',
    'policy.evaluate',
    'worker.select',
    'POST /execute',
    'worker_execute',
  )
  expect(names()).toEqual(
    new Set([
      'POST /register',
      'policy.evaluate',
      'call',
      'POST /route',
      'worker.select',
      'POST /execute',
      'worker_execute',
    ]),
  )
})

test('a heartbeat that is refused is an error with the id of its worker, in the trace of the answer', async () => {
  const body = { worker_id: 'worker-hello-world.7', lease: '00000000-0000-4000-8000-000000000000' }
  const answer = await traced.mesh.request(HELLO, postJson('/heartbeat', body))
  expect(answer.status).toBe(404)
  const spans = await traced.spansOf(answer.headers['x-trace-id'] as string, 'POST /heartbeat')
  expect(spans).toMatchObject([
    {
      kind: 'SERVER',
      parentSpanId: undefined,
      status: { code: 'ERROR' },
      attributes: {
        worker_id: 'worker-hello-world.7',
        'crank.requester': 'spiffe://crank.local/worker/hello-world',
        'http.response.status_code': 404,
        'error.type': 'worker_not_registered',
      },
    },
  ])
})

test('a poll that is refused is an error that names the worker which its identity has registered', async () => {
  const headers = { 'x-crank-priority': ['low', 'low'] }
  const answer = await traced.mesh.request(HELLO, { method: 'GET', path: '/workers', headers })
  expect(answer.status).toBe(400)
  const spans = await traced.spansOf(answer.headers['x-trace-id'] as string, 'GET /workers')
  expect(spans).toMatchObject([
    { status: { code: 'ERROR' }, attributes: { worker_id: 'worker-hello-world', 'http.response.status_code': 400 } },
  ])
})
