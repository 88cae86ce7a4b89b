// Workers that misbehave: each fault has one end for the caller and one outcome in the audit log.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, postJson, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'

let mesh: Mesh
const started: FakeWorker[] = []

beforeAll(async () => {
  mesh = await startMesh()
})
afterEach(async () => {
  await deregisterAll()
  await Promise.all(started.splice(0).map((worker) => worker.close()))
})
afterAll(() => mesh.close())

const leases = new Map<string, string>()

async function worker(execute: Execute, options: { workerId?: string; streaming?: boolean } = {}): Promise<FakeWorker> {
  const fake = await startFakeWorker(mesh, execute, options)
  started.push(fake)
  const workerId = options.workerId ?? 'worker-hello-world'
  const answer = await fake.register({ workerId })
  expect(answer.status).toBe(200)
  leases.set(workerId, answer.body.lease as string)
  return fake
}

async function deregisterAll(): Promise<void> {
  for (const [workerId, lease] of leases) {
    await mesh.request(HELLO, postJson('/deregister', { worker_id: workerId, lease }))
  }
  leases.clear()
}

const call = (timeoutMs?: number): Promise<Answer> =>
  mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {}, timeout_ms: timeoutMs })

async function outcomeOf(answer: Answer) {
  const decisionId = answer.headers['x-decision-id']
  return mesh.auditedAs((line) => line.event === 'route_outcome' && line['decision_id'] === decisionId)
}

describe('a worker', () => {
  test('that answers 500 gives 502 worker_failed, with its declared error code and without its text', async () => {
    await worker((_request, response) =>
      response.writeHead(500).end('{"error":"OUT_OF_PAPER","message":"/secret/path"}'),
    )
    const answer = await call()
    expect(answer).toMatchObject({ status: 502, body: { error: 'worker_failed', reason_code: 'OUT_OF_PAPER' } })
    expect(answer.text).not.toContain('secret')
    expect(answer.headers['x-worker-id']).toBeUndefined()
    expect(await outcomeOf(answer)).toMatchObject({ outcome: 'worker_failed', status: 502, attempts: 1 })
  })

  test('that answers 500 with a code it never declared gives no code', async () => {
    await worker((_request, response) => response.writeHead(503).end('{"error":"MADE_UP"}'))
    const answer = await call()
    expect(answer.status).toBe(502)
    expect(answer.body).not.toHaveProperty('reason_code')
  })

  for (const [name, header, seconds] of [
    ['without a time', undefined, '1'],
    ['with a time', '7', '7'],
    ['with a time of zero', '0', '1'],
    ['with a time of a day', '86400', '300'],
    ['with a date', 'Mon, 30 Nov 2026 10:00:00 GMT', '1'],
  ] as const) {
    test(`that is BUSY ${name} gives 503 worker_busy, to be tried again in ${seconds} s`, async () => {
      await worker((_request, response) => {
        if (header !== undefined) response.setHeader('retry-after', header)
        response.writeHead(503).end('{"error":"BUSY","message":"full","retryable":true}')
      })
      const answer = await call()
      expect(answer).toMatchObject({
        status: 503,
        headers: { 'retry-after': seconds },
        body: { error: 'worker_busy', reason: 'the worker worker-hello-world is at its limit of calls' },
      })
      expect(answer.headers['x-worker-id']).toBeUndefined()
      expect(await outcomeOf(answer)).toMatchObject({ outcome: 'worker_failed', status: 503, error: 'worker_busy' })
    })
  }

  test('that answers 503 for another reason gives 502, with its Retry-After', async () => {
    await worker((_request, response) =>
      response.writeHead(503, { 'retry-after': '2' }).end('{"error":"OUT_OF_PAPER"}'),
    )
    expect(await call()).toMatchObject({
      status: 502,
      headers: { 'retry-after': '2' },
      body: { error: 'worker_failed', reason_code: 'OUT_OF_PAPER' },
    })
  })

  test('that answers 500 BUSY is not busy', async () => {
    await worker((_request, response) => response.writeHead(500).end('{"error":"BUSY"}'))
    expect(await call()).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
  })

  test('that redirects is not followed', async () => {
    const fake = await worker((_request, response) =>
      response.writeHead(307, { location: 'https://169.254.169.254/' }).end(),
    )
    expect(await call()).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    expect(fake.seen).toHaveLength(1)
  })

  test('that answers 4xx is passed through with x-worker-id', async () => {
    await worker((_request, response) =>
      response
        .writeHead(422, { 'content-type': 'application/json', 'set-cookie': 'a=b', server: 'x' })
        .end('{"error":"BAD"}'),
    )
    const answer = await call()
    expect(answer).toMatchObject({
      status: 422,
      body: { error: 'BAD' },
      headers: { 'x-worker-id': 'worker-hello-world' },
    })
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(answer.headers['server']).toBeUndefined()
    expect(await outcomeOf(answer)).toMatchObject({ outcome: 'completed', status: 422 })
  })

  test('that never answers ends at the deadline with 504 worker_timeout', async () => {
    await worker(() => undefined)
    const start = performance.now()
    const answer = await call(300)
    expect(performance.now() - start).toBeGreaterThanOrEqual(290)
    expect(answer).toMatchObject({ status: 504, body: { error: 'worker_timeout' } })
    expect(await outcomeOf(answer)).toMatchObject({ outcome: 'timeout', status: 504 })
  })

  test('that resets before its answer gives 502, and nobody claims to know whether the work was done', async () => {
    const fake = await worker((request) => request.socket.destroy())
    const answer = await call()
    expect(answer).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    expect(await outcomeOf(answer)).toMatchObject({ outcome: 'unknown', attempts: 1 })
    expect(fake.seen).toHaveLength(1)
  })

  test('that lies about its length breaks the answer: a short body never looks whole', async () => {
    await worker((request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('only this')
      setImmediate(() => request.socket.destroy())
    })
    await expect(call()).rejects.toThrow()
    const outcome = await mesh.auditedAs(
      (line) => line.event === 'route_outcome' && line['outcome'] === 'worker_failed' && line['status'] === 200,
    )
    expect(outcome).toMatchObject({ attempts: 1 })
  })

  test('that compresses its answer though told not to gives 502', async () => {
    await worker((_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'))
    expect(await call()).toMatchObject({ status: 502, body: { reason: 'the worker sent a compressed answer' } })
  })

  test('that sends 30 KB of headers gives 502', async () => {
    await worker((_request, response) => response.writeHead(200, { 'x-big': 'x'.repeat(30_000) }).end())
    expect(await call()).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
  })

  test('that is gone is skipped for another one, and the call is answered', async () => {
    const gone = await worker(greets, { workerId: 'worker-hello-world.gone' })
    await worker(greets, { workerId: 'worker-hello-world.here' })
    started.splice(started.indexOf(gone), 1)
    await gone.close()
    const answers = await Promise.all(Array.from({ length: 20 }, () => call()))
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 200, headers: { 'x-worker-id': 'worker-hello-world.here' } })
    }
    const outcomes = await Promise.all(answers.map(outcomeOf))
    expect(outcomes.map(({ attempts }) => attempts as number)).toContain(2)
  })

  test('that is gone costs a streamed upload nothing: the next worker gets all of it', async () => {
    const gone = await worker(greets, { workerId: 'worker-hello-world.gone' })
    started.splice(started.indexOf(gone), 1)
    await gone.close()
    await worker((_request, response, body) => response.end(body), { workerId: 'worker-hello-world.here' })
    const upload = 'x'.repeat(200_000)
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        mesh.request(STREAMING, {
          path: '/route/invoke/hello_world',
          method: 'POST',
          headers: { 'content-type': 'text/plain' },
          body: Readable.from([upload.slice(0, 1000), upload.slice(1000)]),
        }),
      ),
    )
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, text: upload })
    const outcomes = await Promise.all(answers.map(outcomeOf))
    expect(outcomes.map(({ attempts }) => attempts as number)).toContain(2)
  })

  test('that is gone, with no other one there, gives 502', async () => {
    const gone = await worker(greets)
    started.splice(started.indexOf(gone), 1)
    await gone.close()
    const answer = await call()
    expect(answer).toMatchObject({
      status: 502,
      body: { error: 'worker_failed', reason: 'the worker worker-hello-world could not be reached' },
    })
    expect(answer.headers['retry-after']).toBe('5')
    expect(answer.headers['x-worker-id']).toBeUndefined()
    expect(await outcomeOf(answer)).toMatchObject({ outcome: 'worker_failed', attempts: 1 })
  })

  test('whose place was taken by another identity gets not a byte of the request', async () => {
    const fake = await worker(greets)
    const { port } = fake
    started.splice(started.indexOf(fake), 1)
    await fake.close()
    const impostor = await startFakeWorker(mesh, greets, { shows: STREAMING })
    started.push(impostor)
    impostor.server.close()
    await once(impostor.server.listen(port, '127.0.0.1'), 'listening')
    expect(await call()).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    expect(impostor.seen).toHaveLength(0)
  })

  test('that accepts TCP and never speaks TLS ends at the deadline', async () => {
    const fake = await worker(greets)
    const { port } = fake
    started.splice(started.indexOf(fake), 1)
    await fake.close()
    const silent = createServer().listen(port, '127.0.0.1')
    await once(silent, 'listening')
    expect((silent.address() as AddressInfo).port).toBe(port)
    const answer = await call(300)
    expect(answer).toMatchObject({ status: 504, body: { error: 'worker_timeout' } })
    silent.close()
  })
})
