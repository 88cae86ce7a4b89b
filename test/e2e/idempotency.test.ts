// Idempotency keys over real sockets: one execution for each key, and the same answer for every repetition.
import type { ServerResponse } from 'node:http'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { blockedJson, replaceFile } from '../fixtures/live-policy.ts'
import { HELLO, postJson, startMesh, STREAMING, TRUST_DOMAIN, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const CALL = { verb: 'invoke', capability: 'hello_world', payload: { message: 'hi' } }
const RAW = '/route/invoke/hello_world'
const MIB = 1024 * 1024

let policies: PolicyDir
let mesh: Mesh
let worker: FakeWorker
let execute: Execute
beforeEach(async () => {
  policies = await copyPolicies({})
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir, CRANK_DRAIN_TIMEOUT_MS: '100' } })
  execute = counts
  worker = await startFakeWorker(mesh, (...args) => execute(...args))
  expect((await worker.register()).status).toBe(200)
})
afterEach(async () => {
  await worker.close()
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

/** Answers with the number of the execution. */
const counts: Execute = (_request, response) => json(response, 200, { run: worker.seen.length })

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function keyed(key: string, over: object = {}): Promise<Answer> {
  return mesh.route(STREAMING, { ...CALL, idempotency_key: key, ...over })
}

function raw(headers: Record<string, string>, body: string | Buffer = 'bytes', path = STREAMING): Promise<Answer> {
  const type = { 'content-type': 'application/octet-stream' }
  return mesh.request(path, { path: RAW, method: 'POST', headers: { ...type, ...headers }, body })
}

async function outcomeOf(answer: Answer) {
  const id = answer.headers['x-decision-id']
  return mesh.auditedAs((line) => line.event === 'route_outcome' && line['decision_id'] === id)
}

describe('a repeated call', () => {
  test('gets the stored answer, under a decision of its own', async () => {
    const first = await keyed('k-1')
    expect(first).toMatchObject({ status: 200, body: { run: 1 } })
    expect(first.headers).not.toHaveProperty('idempotent-replayed')
    const again = await keyed('k-1')
    expect(again).toMatchObject({ status: 200, text: first.text })
    expect(again.headers).toMatchObject({
      'content-type': 'application/json',
      'idempotent-replayed': 'true',
      'x-original-decision-id': first.headers['x-decision-id'],
      'x-worker-id': 'worker-hello-world',
    })
    expect(again.headers['x-decision-id']).not.toBe(first.headers['x-decision-id'])
    expect(worker.seen).toHaveLength(1)
    expect(await outcomeOf(first)).toMatchObject({ idempotency: 'stored', original_decision_id: null, attempts: 1 })
    expect(await outcomeOf(again)).toMatchObject({
      outcome: 'completed',
      status: 200,
      idempotency: 'replayed',
      original_decision_id: first.headers['x-decision-id'],
      attempts: 0,
      worker_id: null,
    })
    expect((await stat(`${mesh.dir}/idempotency.sqlite`)).mode & 0o777).toBe(0o600)
  })

  test('is the same call by header, in quotes or bare, and by member', async () => {
    await keyed('a b')
    for (const headers of [{ 'idempotency-key': '"a b"' }]) {
      expect(await mesh.route(STREAMING, CALL, headers)).toMatchObject({ status: 200, body: { run: 1 } })
    }
    const first = await raw({ 'idempotency-key': 'k' })
    expect(await raw({ 'idempotency-key': '"k"' })).toMatchObject({ status: 200, text: first.text })
    expect(worker.seen.map(({ headers }) => headers['idempotency-key'])).toEqual(['"a b"', 'k'])
    expect(worker.seen[1]?.body).toBe('bytes')
  })

  test('of another caller or for another capability is independent', async () => {
    await raw({ 'idempotency-key': 'k' })
    expect(await raw({ 'idempotency-key': 'k' }, 'other', HELLO)).toMatchObject({ status: 200, body: { run: 2 } })
  })

  for (const [what, over] of [
    ['another payload', { payload: { message: 'ho' } }],
    ['no payload', { payload: undefined }],
    ['a required version', { version: '^1.0.0' }],
  ] as const) {
    test(`with ${what} is refused`, async () => {
      await keyed('k-2')
      const answer = await keyed('k-2', over)
      expect(answer).toMatchObject({ status: 422, body: { error: 'idempotency_key_reused' } })
      expect(await outcomeOf(answer)).toMatchObject({ outcome: 'refused', idempotency: 'reused', attempts: 0 })
    })
  }

  test('with another type or in the other form is refused; with another priority or time limit it is the same', async () => {
    await raw({ 'idempotency-key': 'k' })
    const typed = await raw({ 'idempotency-key': 'k', 'content-type': 'text/plain' })
    expect(typed).toMatchObject({ status: 422, body: { error: 'idempotency_key_reused' } })
    expect((await keyed('k')).status).toBe(422)
    const hurried = await raw({ 'idempotency-key': 'k', 'x-crank-priority': 'high', 'x-crank-timeout-ms': '900' })
    expect(hurried).toMatchObject({ status: 200, body: { run: 1 } })
    const preferring = await raw({ 'idempotency-key': 'k', 'x-crank-prefer': 'zone=a' })
    expect(preferring).toMatchObject({ status: 200, body: { run: 1 } })
  })

  test('while the first one runs is refused, and told when to come back', async () => {
    let answer: () => void = () => undefined
    execute = (_request, response) => (answer = () => json(response, 201, { late: true }))
    const first = keyed('k-3')
    await until('the worker has the call', () => worker.seen.length === 1)
    const second = await keyed('k-3')
    expect(second).toMatchObject({ status: 409, body: { error: 'idempotency_in_progress' } })
    expect(second.headers['retry-after']).toBe('1')
    answer()
    expect(await first).toMatchObject({ status: 201, body: { late: true } })
    expect(await keyed('k-3')).toMatchObject({ status: 201, body: { late: true } })
    expect(await outcomeOf(second)).toMatchObject({ outcome: 'refused', idempotency: 'in_progress' })
  })

  test("gets the worker's own refusal and its failure again", async () => {
    execute = (_request, response) => json(response, 422, { error: 'BAD', message: 'no', retryable: false })
    const refusal = await keyed('k-4')
    expect(await keyed('k-4')).toMatchObject({ status: 422, text: refusal.text })
    execute = (_request, response) => json(response, 500, { error: 'OUT_OF_PAPER', message: 'x', retryable: true })
    const failure = await keyed('k-5')
    expect(failure).toMatchObject({ status: 502, body: { error: 'worker_failed', reason_code: 'OUT_OF_PAPER' } })
    const again = await keyed('k-5')
    expect(again).toMatchObject({ status: 502, body: { error: 'worker_failed', reason_code: 'OUT_OF_PAPER' } })
    expect(again.headers).toMatchObject({
      'idempotent-replayed': 'true',
      'x-original-decision-id': failure.headers['x-decision-id'],
    })
    expect(worker.seen).toHaveLength(2)
  })

  test('gets an answer without a body again', async () => {
    execute = (_request, response) => response.writeHead(204).end()
    await keyed('k-6')
    expect(await keyed('k-6')).toMatchObject({ status: 204, text: '' })
    expect(worker.seen).toHaveLength(1)
  })

  test('is authorised now: a caller that may not call any more learns nothing', async () => {
    await keyed('k-7')
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson(`spiffe://${TRUST_DOMAIN}/${STREAMING}`))
    await until('the caller is blocked', async () => (await keyed('k-7')).status === 403)
    const denied = await keyed('k-7')
    expect(denied).toMatchObject({ status: 403, body: { error: 'capability_access_denied' } })
    expect(denied.headers).not.toHaveProperty('idempotent-replayed')
    expect((await keyed('k-7', { payload: 'other' })).status).toBe(403)
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson())
    await until('the caller is free', async () => (await keyed('k-7')).status === 200)
    expect(worker.seen).toHaveLength(1)
  })

  test('is authorised now: a manifest without the capability ends replays, too', async () => {
    await keyed('k-8')
    const file = join(policies.dir, 'data/worker_manifests.json')
    const text = await readFile(file, 'utf8')
    const manifests = JSON.parse(text) as { workers: Record<string, { required_capabilities: string[] }> }
    manifests.workers[`spiffe://${TRUST_DOMAIN}/${STREAMING}`]!.required_capabilities = ['stream:text_events']
    await replaceFile(policies.dir, 'data/worker_manifests.json', JSON.stringify(manifests))
    await until('the capability is denied', async () => (await keyed('k-8')).status === 403)
    const denied = await keyed('k-8')
    expect(denied).toMatchObject({ status: 403, body: { reason_code: 'capability_not_declared' } })
    expect(denied.headers).not.toHaveProperty('x-original-decision-id')
  })
})

describe('a key is free again', () => {
  test('when no worker was there', async () => {
    const { lease } = (await worker.register()).body as { lease: string }
    const body = { worker_id: 'worker-hello-world', lease }
    const json_ = { 'content-type': 'application/json' }
    const away = { path: '/deregister', method: 'POST', headers: json_, body: JSON.stringify(body) } as const
    expect((await mesh.request(HELLO, away)).status).toBe(200)
    const refused = await keyed('k')
    expect(refused).toMatchObject({ status: 503, body: { error: 'no_worker_available' } })
    expect(await outcomeOf(refused)).toMatchObject({ outcome: 'worker_failed', idempotency: 'freed' })
    await worker.register()
    expect(await keyed('k', { payload: 'not the same' })).toMatchObject({ status: 200, body: { run: 1 } })
  })

  test('when the worker was busy', async () => {
    execute = (_request, response) => json(response, 503, { error: 'BUSY', message: 'busy', retryable: true })
    expect(await keyed('k')).toMatchObject({ status: 503, body: { error: 'worker_busy' } })
    const calls = worker.seen.length
    execute = counts
    // It gets no calls until its Retry-After has passed; the key stays free.
    await until('the worker gets calls again', async () => (await keyed('k')).status === 200)
    expect(worker.seen).toHaveLength(calls + 1)
    expect((await keyed('k')).headers['idempotent-replayed']).toBe('true')
  })

  test('when the worker could not be reached', async () => {
    await worker.close()
    expect(await keyed('k')).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    worker = await startFakeWorker(mesh, (...args) => execute(...args))
    await worker.register()
    expect(await keyed('k')).toMatchObject({ status: 200, body: { run: 1 } })
  })
})

describe('a key becomes unknown, and nothing runs again under it', () => {
  async function expectUnknown(key: string): Promise<void> {
    const answer = await keyed(key)
    expect(answer).toMatchObject({ status: 409, body: { error: 'idempotency_outcome_unknown' } })
    expect(answer.headers).not.toHaveProperty('retry-after')
    expect(await outcomeOf(answer)).toMatchObject({ outcome: 'refused', idempotency: 'unknown', attempts: 0 })
    expect(worker.seen).toHaveLength(1)
  }

  test('when the worker did not answer in time', async () => {
    execute = () => undefined
    const late = await keyed('k', { timeout_ms: 50 })
    expect(late).toMatchObject({ status: 504, body: { error: 'worker_timeout' } })
    expect(await outcomeOf(late)).toMatchObject({ idempotency: 'unstored' })
    await expectUnknown('k')
  })

  test('when the connection broke before an answer, or within it', async () => {
    execute = (request) => request.socket.destroy()
    expect((await keyed('k')).status).toBe(502)
    await expectUnknown('k')
    worker.seen.length = 0
    execute = (request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '100' })
      response.write('part', () => request.socket.destroy())
    }
    const broken = await keyed('k-2')
    expect(broken).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    await expectUnknown('k-2')
  })

  test('when the answer is an event stream, which passes as it comes', async () => {
    let end: () => void = () => undefined
    execute = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      end = () => response.end('data: 2\n\n')
    }
    const pool = await mesh.client(STREAMING)
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'k' }
    const body = JSON.stringify(CALL)
    const answer = await pool.request({ path: '/route', method: 'POST', headers, body })
    const parts = answer.body.iterator() as AsyncIterator<Buffer>
    expect(String((await parts.next()).value)).toBe('data: 1\n\n')
    end()
    expect(String((await parts.next()).value)).toBe('data: 2\n\n')
    expect((await parts.next()).done).toBe(true)
    await expectUnknown('k')
  })

  for (const [what, headers] of [
    ['said in its length', { 'content-length': String(MIB + 1) }],
    ['found out on the way', {}],
  ] as const) {
    test(`when the answer is larger than 1 MiB, ${what}`, async () => {
      execute = (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/octet-stream', ...headers })
        response.end(Buffer.alloc(MIB + 1, 7))
      }
      const answer = await keyed('k')
      expect(answer.status).toBe(200)
      expect(answer.text).toHaveLength(MIB + 1)
      await expectUnknown('k')
    })
  }
})

describe('the body of a call with a key', () => {
  test('may have 1 MiB, whose answer of 1 MiB is stored', async () => {
    execute = (_request, response, body) => response.writeHead(200, { 'content-type': 'text/plain' }).end(body)
    const body = Buffer.alloc(MIB, 'x')
    const first = await raw({ 'idempotency-key': 'k' }, body)
    expect(first.text).toHaveLength(MIB)
    expect(await raw({ 'idempotency-key': 'k' }, body)).toMatchObject({ status: 200, text: first.text })
    expect(worker.seen).toHaveLength(1)
  })

  test('may not be larger, declared or not; without a key it may', async () => {
    const large = Buffer.alloc(MIB + 1)
    const declared = await raw({ 'idempotency-key': 'k' }, large)
    expect(declared).toMatchObject({ status: 413, body: { error: 'payload_too_large' } })
    expect(declared.body.reason).toContain('idempotency key may have a body of at most 1 MiB')
    expect(await outcomeOf(declared)).toMatchObject({ outcome: 'refused', idempotency: 'too_large' })
    const headers = { 'content-type': 'text/plain', 'idempotency-key': 'k' }
    const chunked = { path: RAW, method: 'POST', headers, body: Readable.from([large]) } as const
    expect(await mesh.request(STREAMING, chunked)).toMatchObject({ status: 413 })
    expect(worker.seen).toHaveLength(0)
    expect((await raw({}, large)).status).toBe(200)
  })

  for (const header of ['a b', '"a', 'a", "b"', '"\\x"', `"${'x'.repeat(129)}"`, '""', '"k";a=1']) {
    test(`with the malformed key ${header.slice(0, 20)} is refused in both forms`, async () => {
      const refusal = { status: 400, body: { error: 'request_invalid' } }
      expect(await raw({ 'idempotency-key': header })).toMatchObject(refusal)
      expect(await mesh.route(STREAMING, CALL, { 'idempotency-key': header })).toMatchObject(refusal)
    })
  }

  test('with two different keys is refused', async () => {
    const body = { ...CALL, idempotency_key: 'a' }
    expect(await mesh.route(STREAMING, body, { 'idempotency-key': '"a"' })).toMatchObject({ status: 200 })
    const answer = await mesh.route(STREAMING, body, { 'idempotency-key': 'b' })
    expect(answer).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
  })
})

describe('a caller that leaves', () => {
  test('does not end its call: the answer is stored', async () => {
    let answer: () => void = () => undefined
    execute = (_request, response) => (answer = () => json(response, 200, { run: 1 }))
    const leaving = new AbortController()
    const left = mesh.request(STREAMING, {
      ...postJson('/route', { ...CALL, idempotency_key: 'k' }),
      signal: leaving.signal,
    })
    left.catch(() => undefined)
    await until('the worker has the call', () => worker.seen.length === 1)
    leaving.abort()
    await expect(left).rejects.toThrow()
    expect(await keyed('k')).toMatchObject({ status: 409, body: { error: 'idempotency_in_progress' } })
    answer()
    await until('the answer is stored', async () => (await keyed('k')).status === 200)
    expect(await keyed('k')).toMatchObject({ status: 200, body: { run: 1 } })
    const record = await mesh.auditedAs((line) => line['idempotency'] === 'stored')
    expect(record).toMatchObject({ outcome: 'caller_left', status: null })
    expect(worker.seen).toHaveLength(1)
  })
})

describe('a restart', () => {
  /** Another controller, with the state of the first. */
  async function startNext() {
    const next = await startMesh({ env: { CRANK_STATE_DIR: mesh.dir } })
    const itsWorker = await startFakeWorker(next, counts)
    await itsWorker.register()
    return {
      mesh: next,
      worker: itsWorker,
      async [Symbol.asyncDispose]() {
        await itsWorker.close()
        await next.close()
      },
    }
  }

  test('keeps the stored answers; what was under way is unknown', async () => {
    await keyed('done')
    execute = () => undefined
    const cut = keyed('cut').catch(() => undefined)
    await until('the worker has the call', () => worker.seen.length === 2)
    await mesh.controller.close()
    await cut
    await using next = await startNext()
    const call = (key: string) => next.mesh.route(STREAMING, { ...CALL, idempotency_key: key })
    expect(await call('done')).toMatchObject({ status: 200, body: { run: 1 } })
    expect(await call('cut')).toMatchObject({ status: 409, body: { error: 'idempotency_outcome_unknown' } })
    expect(next.worker.seen).toHaveLength(0)
  })
})

describe('metrics', () => {
  test('count the calls with a key by result, and show the store', async () => {
    await keyed('k')
    await keyed('k')
    const { text } = await mesh.admin('/metrics')
    expect(text).toContain('controller_idempotency_total{result="stored"} 1')
    expect(text).toContain('controller_idempotency_total{result="replayed"} 1')
    expect(text).toContain('controller_idempotency_unavailable 0')
    expect(text).toMatch(/controller_idempotency_write_seconds_count 2/)
  })
})
