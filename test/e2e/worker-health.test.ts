// Workers that die, hang and come back, over real TLS sockets: who gets the next call, and what operators see.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { WorkerEntry } from '../../src/core/wire.ts'
import { crank } from '../cli/in-process.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'

let mesh: Mesh
const closing: (() => Promise<void>)[] = []

beforeEach(async () => {
  mesh = await startMesh()
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await mesh.close()
})

async function worker(execute: Execute, instance: string, schema: object = {}): Promise<FakeWorker> {
  const made = await startFakeWorker(mesh, execute)
  closing.push(() => made.close().catch(() => undefined))
  const workerId = `worker-hello-world.${instance}`
  const answer = await made.register({ workerId, capabilities: [{ ...HELLO_SCHEMA, ...schema }] })
  expect(answer).toMatchObject({ status: 200 })
  return made
}

/** A TCP relay in front of a worker: what the test does to its connections, the network could do. */
async function relayTo(port: number) {
  const open = new Set<Socket>()
  const server = createServer((from) => {
    const { connect } = process.getBuiltinModule('node:net')
    const to = connect(port, '127.0.0.1')
    for (const socket of [from, to]) {
      open.add(socket)
      socket.on('error', () => undefined).on('close', () => open.delete(socket))
    }
    from.pipe(to).pipe(from)
  })
  const listen = async (at: number): Promise<void> => {
    await once(server.listen(at, '127.0.0.1'), 'listening')
  }
  await listen(0)
  const at = (server.address() as AddressInfo).port
  const cut = async (): Promise<void> => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of open) socket.resetAndDestroy()
    await closed
  }
  closing.push(() => (server.listening ? cut() : Promise.resolve()))
  return { url: `https://127.0.0.1:${at}`, cut, restore: () => listen(at) }
}

async function relayed(execute: Execute, instance: string, schema: object = {}) {
  const made = await startFakeWorker(mesh, execute)
  closing.push(made.close)
  const relay = await relayTo(made.port)
  const capabilities = [{ ...HELLO_SCHEMA, ...schema }]
  const answer = await made.register({ workerId: `worker-hello-world.${instance}`, capabilities, url: relay.url })
  expect(answer).toMatchObject({ status: 200 })
  return { ...made, ...relay }
}

const call = (over: object = {}): Promise<Answer> =>
  mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {}, ...over })

async function entryOf(instance: string): Promise<WorkerEntry> {
  const { workers } = JSON.parse((await mesh.admin('/workers')).text) as { workers: WorkerEntry[] }
  return workers.find(({ worker_id }) => worker_id === `worker-hello-world.${instance}`)!
}

const isIn = (instance: string, state: string, timeout = 15_000): Promise<boolean> =>
  vi.waitUntil(async () => (await entryOf(instance)).state === state, { timeout, interval: 20 })

async function metric(pattern: RegExp): Promise<number> {
  return Number(pattern.exec((await mesh.admin('/metrics')).text)?.[1])
}

const statuses = (answers: readonly Answer[]): number[] => [...new Set(answers.map(({ status }) => status))]

describe('a worker that refuses connections', () => {
  test('fails no call while another is left, gets at most a few attempts, and is back when it answers', async () => {
    const a = await relayed(greets, 'a')
    const b = await worker(greets, 'b')
    await Promise.all(Array.from({ length: 20 }, () => call()))
    await a.cut()
    const before = a.seen.length
    const answers: Answer[] = []
    for (let round = 0; round < 10; round++)
      answers.push(...(await Promise.all(Array.from({ length: 10 }, () => call()))))
    expect(statuses(answers)).toEqual([200])
    expect(a.seen.length).toBe(before)
    expect(b.seen.length).toBeGreaterThanOrEqual(100)
    expect(await entryOf('a')).toMatchObject({ state: 'suspect' })
    await a.restore()
    await isIn('a', 'live')
    expect(await entryOf('a')).toMatchObject({ state: 'live', cause: 'probe_answered' })
  })

  test('is tried anyway when it is the only one', async () => {
    const a = await relayed(greets, 'a')
    await a.cut()
    expect(await call()).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    expect(await entryOf('a')).toMatchObject({ state: 'suspect', cause: 'unreachable' })
    await a.restore()
    expect(await call()).toMatchObject({ status: 200 })
    expect(await entryOf('a')).toMatchObject({ state: 'live' })
  })
})

test('a worker that hangs is ejected, and comes back half-open by its probe and live by a call', async () => {
  let hangs = true
  const a = await worker((...exchange) => {
    if (!hangs) greets(...exchange)
  }, 'a')
  // Both have calls in flight until one of them has had enough to be ejected: otherwise the faster one gets them all.
  const waits: Execute = (...exchange) => {
    if (a.seen.length >= 6) greets(...exchange)
    else setTimeout(() => waits(...exchange), 5)
  }
  const b = await worker(waits, 'b')
  const round = (): Promise<Answer[]> => Promise.all(Array.from({ length: 16 }, () => call({ timeout_ms: 1000 })))
  const first = await round()
  expect(first.filter(({ status }) => status === 504).length).toBeGreaterThanOrEqual(5)
  expect(await entryOf('a')).toMatchObject({ state: 'ejected', cause: 'timeout' })
  expect(await entryOf('b')).toMatchObject({ state: 'live' })
  const seen = a.seen.length
  expect(statuses(await round())).toEqual([200])
  expect(a.seen.length).toBe(seen)
  await isIn('a', 'half_open')
  // One trial call at most.
  await round()
  expect(a.seen.length).toBeLessThanOrEqual(seen + 1)
  hangs = false
  await vi.waitUntil(async () => (await round(), (await entryOf('a')).state === 'live'), { timeout: 20_000 })
  expect(await entryOf('a')).toMatchObject({ cause: 'call_answered' })
  expect(b.seen.length).toBeGreaterThan(0)
  expect(await metric(/controller_worker_state_changes_total\{to="ejected",cause="timeout"\} (\d+)/)).toBeGreaterThan(0)
})

describe('a drained worker', () => {
  const post = async (path: string, init: RequestInit = {}) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(mesh.adminOrigin + path, { method: 'POST', headers, body: '{}', ...init })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const drainOf = (id: string) => post(`/workers/${id}/drain`, { body: '{"reason":"new disk"}' })
  const a = 'worker-hello-world.a'

  test('gets no new call, ends the running one, stays drained when it registers again, and comes back', async () => {
    const open: ServerResponse[] = []
    const first = await worker((_request, response) => void open.push(response), 'a')
    const running = call()
    await vi.waitUntil(() => open.length === 1, { timeout: 10_000 })
    const b = await worker(greets, 'b')
    expect(await drainOf(a)).toEqual({
      status: 200,
      body: { worker_id: a, draining: true, changed: true, workers: [a] },
    })
    expect(await drainOf(a)).toMatchObject({ status: 200, body: { changed: false } })
    expect(await entryOf('a')).toMatchObject({ state: 'draining', cause: 'drained' })
    expect(statuses(await Promise.all(Array.from({ length: 20 }, () => call())))).toEqual([200])
    expect([first.seen.length, b.seen.length]).toEqual([1, 20])
    open[0]!.setHeader('content-type', 'application/json').end('{"greeting":"at last"}')
    expect(await running).toMatchObject({ status: 200, body: { greeting: 'at last' } })
    await first.register({ workerId: a })
    expect(await entryOf('a')).toMatchObject({ state: 'draining' })
    expect(await call()).toMatchObject({ headers: { 'x-worker-id': 'worker-hello-world.b' } })
    expect(await post(`/workers/${a}/undrain`)).toMatchObject({ status: 200, body: { draining: false, changed: true } })
    expect(await entryOf('a')).toMatchObject({ state: 'live', cause: 'undrained' })
    const lines = (await mesh.audit()).filter(({ event }) => event === 'worker_drain_changed')
    expect(lines).toMatchObject([
      { worker_id: a, draining: true, workers: [a], requested_by: 'admin_listener', reason: 'new disk' },
      { worker_id: a, draining: false, reason: null },
    ])
    expect(await metric(/controller_worker_state_changes_total\{to="draining",cause="drained"\} (\d+)/)).toBe(1)
  })

  test('may be all instances of a worker: then nobody takes its calls, and one of them cannot come back alone', async () => {
    await worker(greets, 'a')
    await worker(greets, 'b')
    expect(await drainOf('worker-hello-world')).toMatchObject({ body: { workers: [a, 'worker-hello-world.b'] } })
    expect(await call()).toMatchObject({ status: 503, body: { error: 'no_worker_available' } })
    expect(await post(`/workers/${a}/undrain`)).toMatchObject({ status: 200, body: { changed: false } })
    await drainOf(a)
    expect(await post(`/workers/${a}/undrain`)).toMatchObject({
      status: 400,
      body: { reason: 'all instances of worker-hello-world are drained; undrain worker-hello-world' },
    })
    expect(await post('/workers/worker-hello-world/undrain')).toMatchObject({ body: { changed: true } })
    expect(await entryOf('a')).toMatchObject({ state: 'draining' })
    expect(await call()).toMatchObject({ status: 200, headers: { 'x-worker-id': 'worker-hello-world.b' } })
  })

  test('must be one that is registered; and a web page cannot ask for it', async () => {
    await worker(greets, 'a')
    expect(await drainOf('worker-helo-world.a')).toMatchObject({
      status: 404,
      body: { reason: `no worker is registered as worker-helo-world.a; did you mean ${a}, worker-hello-world?` },
    })
    expect(await drainOf('nobody')).toMatchObject({ status: 404, body: { error: 'not_found' } })
    expect(await drainOf('%20')).toMatchObject({ status: 400 })
    const asPage = { headers: { 'content-type': 'text/plain' } }
    expect(await post(`/workers/${a}/drain`, asPage)).toMatchObject({ status: 415 })
    expect(await post(`/workers/${a}/drain`, { headers: {}, body: '' })).toMatchObject({ status: 415 })
    expect(await entryOf('a')).toMatchObject({ state: 'live' })
  })

  test('is drained by the command line too', async () => {
    await worker(greets, 'a')
    const env = { CRANK_ADMIN_URL: mesh.adminOrigin }
    const drained = await crank(['worker', 'drain', a, '--reason', 'new disk'], { env })
    expect(drained).toMatchObject({ code: 0, stderr: `${a} gets no new calls; registered now: ${a}\n` })
    const again = await crank(['worker', 'drain', a, '-o', 'json'], { env })
    expect(JSON.parse(again.stdout)).toMatchObject({ draining: true, changed: false })
    expect(await crank(['worker', 'undrain', a], { env })).toMatchObject({ code: 0 })
    const unknown = await crank(['worker', 'drain', 'worker-helo-world.a'], { env })
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining(`did you mean ${a}`) as string })
    const nowhere = await crank(['worker', 'drain', a, '--admin-url', 'http://127.0.0.1:1'], { env })
    expect(nowhere).toMatchObject({ code: 3, stderr: expect.stringContaining('cannot reach the controller') as string })
  })
})

describe('a call that was sent', () => {
  const key = () => ({ idempotency_key: `key-${Math.random()}` })
  const dies: Execute = (request) => void request.socket.destroy()
  const fails: Execute = (_request, response) => response.writeHead(500).end('{"error":"MADE_UP"}')
  const declares: Execute = (_request, response) => response.writeHead(500).end('{"error":"OUT_OF_PAPER"}')
  const refuses: Execute = (_request, response) => response.writeHead(422).end('{"error":"BAD"}')
  const leaves: Execute = (_request, response) => response.writeHead(503).end('{"error":"SHUTTING_DOWN"}')

  const cases: readonly [
    what: string,
    first: Execute,
    retrySafe: boolean,
    keyed: boolean,
    status: number,
    seen: number,
  ][] = [
    ['goes to another worker with a key and retry_safe, after a reset', dies, true, true, 200, 1],
    ['goes to another worker with a key and retry_safe, after a 500', fails, true, true, 200, 1],
    ['does not without a key', dies, true, false, 502, 0],
    ['does not without retry_safe', dies, false, true, 502, 0],
    ['does not after an error that the capability declares', declares, true, true, 502, 0],
    ['does not after a 4xx', refuses, true, true, 422, 0],
    ['does always when the worker refused it before any work', leaves, false, false, 200, 1],
  ]
  test.each(cases)('%s', async (_what, first, retry_safe, isKeyed, status, seen) => {
    const a = await worker(first, 'a', { retry_safe })
    const b = await worker(greets, 'b', { retry_safe })
    const asked = isKeyed ? key() : {}
    // Which of the two comes first is up to chance: the calls that begin at a are looked at.
    let answer = await call({ ...asked })
    for (let i = 0; a.seen.length === 0; i++) answer = await call(isKeyed ? key() : {})
    expect(answer.status).toBe(status)
    const decisionId = answer.headers['x-decision-id']
    const outcome = await mesh.auditedAs((line) => line.event === 'route_outcome' && line['decision_id'] === decisionId)
    expect(outcome['attempts']).toBe(1 + seen)
    const made = outcome['attempts_made'] as { worker_id: string; reason: string | null; sent: boolean }[] | null
    expect(made?.map(({ worker_id }) => worker_id) ?? null).toEqual(
      seen === 0 ? null : ['worker-hello-world.a', 'worker-hello-world.b'],
    )
    expect(b.seen.length).toBeGreaterThanOrEqual(seen)
  })
})
