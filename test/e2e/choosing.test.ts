// Which worker gets a call, over real TLS sockets: by load and latency, by limits, by version and labels, and in which order
// calls wait while every worker is at its limit.
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import type { CapabilitySchema } from '../../src/core/wire.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createPeerVerifier } from '../../src/platform/svid/verify.ts'
import { watchCredentials } from '../../src/platform/tls/credentials.ts'
import { createControllerClient } from '../../src/worker/controller-client.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, TRUST_DOMAIN, type Answer, type Mesh } from '../fixtures/mesh.ts'

let mesh: Mesh
const closing: (() => Promise<void>)[] = []

beforeEach(async () => {
  mesh = await startMesh()
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await mesh.close()
})

type Placed = { instance: string; labels?: Record<string, string>; weight?: number; schema?: Partial<CapabilitySchema> }

async function worker(execute: Execute, { instance, schema = {}, ...placing }: Placed): Promise<FakeWorker> {
  const made = await startFakeWorker(mesh, execute)
  closing.push(made.close)
  const workerId = `worker-hello-world.${instance}`
  const answer = await made.register({ workerId, capabilities: [{ ...HELLO_SCHEMA, ...schema }], ...placing })
  expect(answer).toMatchObject({ status: 200 })
  return made
}

const call = (over: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: { message: 'hi' }, ...over }, headers)

function rawCall(headers: Record<string, string | string[]>): Promise<Answer> {
  return mesh.request(STREAMING, { path: '/route/invoke/hello_world', method: 'POST', headers, body: '{}' })
}

const ms = (wait: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, wait))
const slowBy =
  (wait: number): Execute =>
  (...exchange) =>
    void ms(wait).then(() => greets(...exchange))

/** Notes the open answers, for the test to end. */
function holding(): { execute: Execute; open: { response: ServerResponse; body: string }[]; release: () => void } {
  const open: { response: ServerResponse; body: string }[] = []
  return {
    open,
    execute: (_request, response, body) => void open.push({ response, body }),
    release() {
      const { response } = open.shift()!
      response.setHeader('content-type', 'application/json')
      response.end('{"greeting":"hi"}')
    },
  }
}

describe('load', () => {
  test('goes to the faster of two workers, and not only to it', async () => {
    const fast = await worker(slowBy(5), { instance: 'fast' })
    const slow = await worker(slowBy(100), { instance: 'slow' })
    for (let round = 0; round < 15; round++) await Promise.all(Array.from({ length: 8 }, () => call()))
    expect(fast.seen.length + slow.seen.length).toBe(120)
    expect(fast.seen.length).toBeGreaterThan(3 * slow.seen.length)
    expect(slow.seen.length).toBeGreaterThan(0)
  })

  test('follows the weights of equal workers', async () => {
    const heavy = holding()
    const light = holding()
    await worker(heavy.execute, { instance: 'heavy', weight: 3 })
    await worker(light.execute, { instance: 'light', weight: 1 })
    const calls = Array.from({ length: 40 }, () => call())
    await vi.waitUntil(() => heavy.open.length + light.open.length === 40, { timeout: 20_000 })
    const [ofHeavy, ofLight] = [heavy.open.length, light.open.length]
    while (heavy.open.length > 0) heavy.release()
    while (light.open.length > 0) light.release()
    await Promise.all(calls)
    expect(ofHeavy / ofLight).toBeGreaterThan(1.8)
    expect(ofHeavy / ofLight).toBeLessThan(5)
  })
})

describe('max_concurrency', () => {
  test('is never exceeded, and 100 calls at once are all answered', async () => {
    let running = 0
    let most = 0
    const counted: Execute = (request, response, body) => {
      running += 1
      most = Math.max(most, running)
      response.on('close', () => (running -= 1))
      slowBy(5)(request, response, body)
    }
    const only = await worker(counted, { instance: 'a', schema: { max_concurrency: 3 } })
    const answers = await Promise.all(Array.from({ length: 100 }, () => call()))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 100 }, () => 200))
    expect(most).toBeLessThanOrEqual(3)
    expect(only.seen).toHaveLength(100)
    const metrics = (await mesh.admin('/metrics')).text
    expect(metrics).toMatch(/controller_queue_wait_seconds_count\{capability="invoke:hello_world"\} [1-9]/)
    expect(metrics).toMatch(/controller_queue_length\{capability="other"\} 0/)
  })

  test('gives turns by priority, and in the order of arrival within one', async () => {
    const held = holding()
    await worker(held.execute, { instance: 'a', schema: { max_concurrency: 1 } })
    const turns: string[] = []
    const calls = [call({ payload: 'first' })]
    await vi.waitUntil(() => held.open.length === 1, { timeout: 10_000 })
    const asked = ['low 1', 'normal 1', 'high 1', 'low 2', 'high 2', 'normal 2']
    for (const [index, payload] of asked.entries()) {
      calls.push(call({ payload, priority: payload.split(' ')[0] }))
      await queued(index + 1)
    }
    for (let turn = 0; turn <= asked.length; turn++) {
      await vi.waitUntil(() => held.open.length === 1, { timeout: 10_000 })
      turns.push(JSON.parse(held.open[0]!.body) as string)
      held.release()
    }
    expect(turns).toEqual(['first', 'high 1', 'high 2', 'normal 1', 'normal 2', 'low 1', 'low 2'])
    for (const { status } of await Promise.all(calls)) expect(status).toBe(200)
  })

  test('ends a call that waits when its time is over: 504, and no worker has seen it', async () => {
    const held = holding()
    const only = await worker(held.execute, { instance: 'a', schema: { max_concurrency: 1 } })
    const first = call()
    await vi.waitUntil(() => held.open.length === 1, { timeout: 10_000 })
    const late = await call({ timeout_ms: 60 })
    expect(late).toMatchObject({ status: 504, body: { error: 'worker_timeout' } })
    expect(late.body.reason).toContain('no worker was free in time')
    held.release()
    expect(await first).toMatchObject({ status: 200 })
    expect(only.seen).toHaveLength(1)
    await mesh.auditedAs(
      ({ event, outcome, worker_id }) => event === 'route_outcome' && outcome === 'timeout' && worker_id === null,
    )
  })

  test('frees the place of a caller that leaves', async () => {
    const held = holding()
    const only = await worker(held.execute, { instance: 'a', schema: { max_concurrency: 1 } })
    const first = call()
    await vi.waitUntil(() => held.open.length === 1, { timeout: 10_000 })
    const leave = new AbortController()
    const pool = await mesh.client(STREAMING)
    const gone = pool.request({
      path: '/route/invoke/hello_world',
      method: 'POST',
      body: '"gone"',
      signal: leave.signal,
    })
    gone.catch(() => undefined)
    await queued(1)
    leave.abort()
    await queued(0)
    held.release()
    expect(await first).toMatchObject({ status: 200 })
    await mesh.auditedAs(({ event, outcome }) => event === 'route_outcome' && outcome === 'caller_left')
    expect(only.seen).toHaveLength(1)
  })

  test('lets a waiting call go to a worker that registers', async () => {
    const held = holding()
    await worker(held.execute, { instance: 'a', schema: { max_concurrency: 1 } })
    const first = call()
    await vi.waitUntil(() => held.open.length === 1, { timeout: 10_000 })
    const second = call()
    await queued(1)
    await worker(greets, { instance: 'b' })
    expect(await second).toMatchObject({ status: 200, headers: { 'x-worker-id': 'worker-hello-world.b' } })
    held.release()
    await first
  })
})

describe('BUSY', () => {
  const isBusy: Execute = (_request, response) => {
    response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '2' })
    response.end('{"error":"BUSY","message":"no","retryable":true}')
  }

  test('closes a worker for its time; the call goes to another one', async () => {
    const busy = await worker(isBusy, { instance: 'busy' })
    const other = await worker(greets, { instance: 'other' })
    for (let i = 0; i < 20; i++) expect(await call()).toMatchObject({ status: 200 })
    expect(other.seen).toHaveLength(20)
    expect(busy.seen.length).toBeLessThanOrEqual(2)
  })

  test('costs a call with a small streamed body nothing; a large one cannot be sent again', async () => {
    const asks: Execute = (_request, response, body) => {
      response.writeHead(200, { 'content-type': 'text/plain' }).end(body)
    }
    const headers = { 'content-type': 'text/plain' }
    const path = '/route/invoke/hello_world'
    let busyAnswers = 0
    // It reads the whole body first, as `startFakeWorker` does.
    const busyOnce: Execute = (...exchange) => (busyAnswers++ === 0 ? isBusy : asks)(...exchange)
    await worker(busyOnce, { instance: 'a' })
    const second = await worker(asks, { instance: 'b', weight: 1 })
    await vi.waitUntil(
      async () => {
        const answer = await mesh.request(STREAMING, { path, method: 'POST', headers, body: 'small' })
        expect(answer).toMatchObject({ status: 200, text: 'small' })
        return busyAnswers > 0
      },
      { timeout: 20_000 },
    )
    expect(second.seen.map(({ body }) => body)).toContain('small')
    expect((await mesh.audit()).some(({ event, attempts }) => event === 'route_outcome' && attempts === 2)).toBe(true)
  })

  test('of every worker is 503 worker_busy with the shortest Retry-After', async () => {
    await worker(isBusy, { instance: 'a' })
    const answer = await call()
    expect(answer).toMatchObject({ status: 503, body: { error: 'worker_busy' }, headers: { 'retry-after': '2' } })
  })
})

describe('a wish', () => {
  beforeEach(async () => {
    await worker(greets, { instance: 'old', schema: { version: '1.4.0' }, labels: { zone: 'eu' } })
    await worker(greets, { instance: 'new', schema: { version: '2.1.0' }, labels: { zone: 'us', gpu: 'yes' } })
  })
  const workerOf = ({ headers }: Answer): unknown => headers['x-worker-id']
  const OLD = 'worker-hello-world.old'
  const NEW = 'worker-hello-world.new'

  test('for a version, in both forms, reaches only workers that have it', async () => {
    for (let i = 0; i < 10; i++) {
      expect(workerOf(await call({ version: '^1.2' }))).toBe(OLD)
      expect(workerOf(await rawCall({ 'x-crank-version': '>=2 <3' }))).toBe(NEW)
    }
  })

  test('for a version that nobody has is 503, and says which versions there are', async () => {
    const answer = await call({ version: '^3' })
    expect(answer).toMatchObject({ status: 503, body: { error: 'no_worker_available' } })
    expect(answer.body.reason).toContain('version ^3; versions there are: 1.4.0, 2.1.0')
  })

  test('for labels reaches those that must have them, and first those that are preferred', async () => {
    for (let i = 0; i < 10; i++) {
      expect(workerOf(await call({ require: { zone: 'us' } }))).toBe(NEW)
      expect(workerOf(await call({ prefer: { zone: 'eu' } }))).toBe(OLD)
      expect(workerOf(await rawCall({ 'x-crank-prefer': 'gpu=yes, zone=us' }))).toBe(NEW)
      expect(workerOf(await rawCall({ 'x-crank-require': 'zone=eu', 'x-crank-prefer': 'gpu=yes' }))).toBe(OLD)
    }
    expect(await call({ require: { zone: 'mars' } })).toMatchObject({ status: 503 })
    expect(await call({ prefer: { zone: 'mars' } })).toMatchObject({ status: 200 })
  })

  test('that is malformed is 400', async () => {
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, 'x']))
    const bodies = [
      { version: 'newest' },
      { version: '' },
      { require: { Zone: 'eu' } },
      { prefer: { zone: 1 } },
      { require: many },
      { require: [] },
    ]
    const headers: Record<string, string | string[]>[] = [
      { 'x-crank-version': '1.2.3.4' },
      { 'x-crank-require': 'zone' },
      { 'x-crank-require': '' },
      { 'x-crank-prefer': 'a=b, a=c' },
      { 'x-crank-prefer': 'a=b=c' },
      { 'x-crank-version': ['^1', '^2'] },
      { 'x-crank-prefer': ['a=b', 'c=d'] },
      { 'x-crank-require': ['a=b', 'c=d'] },
    ]
    const refused = { status: 400, body: { error: 'request_invalid' } }
    for (const body of bodies) expect(await call(body), JSON.stringify(body)).toMatchObject(refused)
    for (const sent of headers) expect(await rawCall(sent), JSON.stringify(sent)).toMatchObject(refused)
  })

  test('is sent by the client of the worker runtime', async () => {
    const log = createLogger({ level: 'silent', service: 'test' })
    const source = await watchCredentials(await mesh.filesOf(STREAMING), { now: Date.now, log })
    const controllerId = parseSpiffeId(`spiffe://${TRUST_DOMAIN}/controller`)
    const verifier = createPeerVerifier({ now: Date.now })
    const client = createControllerClient({ controllerUrls: [mesh.origin], controllerId, source, verifier })
    closing.push(async () => {
      await client.close()
      source.close()
    })
    const asks = { verb: 'invoke', capability: 'hello_world', payload: {} }
    const wishes: [object, string][] = [
      [{ version: '^2', prefer: {}, require: {} }, NEW],
      [{ require: { zone: 'eu' } }, OLD],
      [{ prefer: { zone: 'us', gpu: 'yes' } }, NEW],
    ]
    for (const [wish, expected] of wishes) {
      const answer = await client.route({ ...asks, ...wish })
      answer.body.resume()
      expect(answer).toMatchObject({ status: 200, workerId: expected })
    }
  })

  test('can be made because GET /workers shows labels and weight', async () => {
    const { body } = await mesh.request(HELLO, { path: '/workers' })
    expect(body.workers).toMatchObject([
      { worker_id: NEW, labels: { zone: 'us', gpu: 'yes' }, weight: 1 },
      { worker_id: OLD, labels: { zone: 'eu' }, weight: 1 },
    ])
  })
})

/** Waits until so many calls are in the queue. */
async function queued(count: number): Promise<void> {
  const found = async (): Promise<number> => {
    const { text } = await mesh.admin('/metrics')
    return Number(/controller_queue_length\{capability="invoke:hello_world"\} (\d+)/.exec(text)?.[1] ?? 0)
  }
  await vi.waitUntil(async () => (await found()) === count, { timeout: 20_000 })
}
