// What callers see of several controllers of which one is away, refuses, or is a stranger. Real sockets.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { answerJson } from '../../../src/worker/testing/fake-controller.ts'
import { until } from '../../fixtures/until.ts'
import { avoidedOf, callsOneByOne, CONTROLLER_ID, openSeveral, refusal, type Linked, type Several } from './several.ts'

let several: Several
let a: Linked
let b: Linked
beforeEach(async () => {
  several = await openSeveral()
  a = await several.start()
  b = await several.start()
})
afterEach(() => several.close())

const both = () => several.client([a.url, b.url])

test('calls are spread over all controllers', async () => {
  expect(await callsOneByOne(both(), 10)).toEqual({ [a.url]: 5, [b.url]: 5 })
})

test('calls at the same time go to the controller with fewer of them', async () => {
  const held: (() => void)[] = []
  a.answers((_call, response) => void held.push(() => answerJson(response, 200, {})))
  const client = both()
  const first = [client.call(), client.call()]
  await until('each controller has one', () => a.routed().length === 1 && b.routed().length === 1)
  await Promise.race(first)
  expect(await callsOneByOne(client, 6)).toEqual({ [b.url]: 6 })
  held.forEach((answer) => answer())
  await Promise.all(first)
})

describe('a controller that is away', () => {
  test('costs no call, is named, and is used again when it is back', async () => {
    const client = both()
    await callsOneByOne(client, 4)
    await a.link.set({ refuse: true })
    a.link.resetAll()
    // With a key: the reset of an open connection may arrive after a call was written to it.
    expect(await callsOneByOne(client, 10, { idempotency_key: 'k' })).toEqual({ [b.url]: 10 })
    expect(avoidedOf(client)).toEqual({ [a.url]: expect.stringMatching(/ECONNREFUSED|ECONNRESET|other side closed/) })
    await a.link.set({})
    await until('it gets calls again', async () => (await client.call()).by === a.url)
    expect(client.changes.at(-1)).toEqual({ change: 'used_again', controller: a.url })
  })

  test('is not asked first by each call: a pause, then one look', async () => {
    const closing = await several.startClosing()
    const client = several.client([closing, b.url])
    expect(await callsOneByOne(client, 50)).toEqual({ [b.url]: 50 })
    expect(avoidedOf(client)).toEqual({ [closing]: expect.stringContaining('TLS') })
  })

  test('for a while, like all others, costs no call that has time: silent controllers are asked once more', async () => {
    await Promise.all([a, b].map(({ link }) => link.set({ silence: true })))
    const called = both().call({ timeout_ms: 30_000 })
    // Longer than one connection is waited for.
    await delay(7000)
    await Promise.all([a, b].map(({ link }) => link.set({})))
    expect((await called).status).toBe(200)
  })

  test('of which connections are accepted and nothing is answered is left after a second, then avoided', async () => {
    await a.link.set({ silence: true })
    const client = several.client([b.url, a.url])
    expect((await client.call()).by).toBe(b.url)
    expect(avoidedOf(client)).toEqual({ [a.url]: 'no connection within 1000 ms' })
    const before = a.link.connections()
    expect(await callsOneByOne(client, 30)).toEqual({ [b.url]: 30 })
    // Looks, at most; not a connection for each call.
    expect(a.link.connections() - before).toBeLessThan(10)
    await a.link.set({})
    await until('it gets calls again', async () => (await client.call()).by === a.url)
  })

  test('and so are all the others: the error names each, and why', async () => {
    await a.link.set({ refuse: true })
    const closing = await several.startClosing()
    const stranger = await several.start({ as: 'worker/stranger' })
    const client = several.client([a.url, closing, stranger.url])
    const error = await client.call().catch((cause: unknown) => cause)
    expect(error).toMatchObject({ name: 'ControllersUnreachableError' })
    const { message } = error as Error
    expect(message).toMatch(/^no controller has answered: /)
    expect(message).toContain(`${a.url}: connect ECONNREFUSED`)
    expect(message).toMatch(new RegExp(`${closing}: .*TLS`))
    expect(message).toContain(
      `${stranger.url}: the peer is not ${CONTROLLER_ID}: it has another SPIFFE ID (the peer is spiffe://crank.local/worker/stranger)`,
    )
  })

  test('and was the only one: its own error, as ever', async () => {
    await a.link.set({ refuse: true })
    await expect(several.client([a.url]).call()).rejects.toMatchObject({ kind: 'connect_refused' })
  })
})

test('a stranger at the address of a controller gets no call, and is named', async () => {
  const stranger = await several.start({ as: 'worker/stranger' })
  const client = several.client([stranger.url, b.url])
  expect(await callsOneByOne(client, 10)).toEqual({ [b.url]: 10 })
  expect(stranger.fake.received).toEqual([])
  expect(client.changes).toEqual([
    {
      change: 'avoided',
      controller: stranger.url,
      reason: `the peer is not ${CONTROLLER_ID}: it has another SPIFFE ID (the peer is spiffe://crank.local/worker/stranger)`,
    },
  ])
})

describe('a refusal', () => {
  for (const code of [
    'shutting_down',
    'policy_not_ready',
    'policy_engine_unavailable',
    'policy_engine_error',
    'audit_unavailable',
    'idempotency_unavailable',
  ])
    test(`${code} sends the call to the next controller, and later calls too`, async () => {
      a.answers(refusal(503, code))
      const client = both()
      expect(await callsOneByOne(client, 10)).toEqual({ [b.url]: 10 })
      expect(a.routed().length).toBeLessThan(10)
      expect(client.changes).toEqual([{ change: 'avoided', controller: a.url, reason: `it answers 503 ${code}` }])
    })

  test('no_worker_available sends the call to the next controller, and says nothing against this one', async () => {
    a.answers(refusal(503, 'no_worker_available'))
    const client = both()
    expect(await callsOneByOne(client, 10)).toEqual({ [b.url]: 10 })
    expect(a.routed()).toHaveLength(5)
    expect(client.changes).toEqual([])
  })

  for (const [status, code] of [
    [503, 'overloaded'],
    [503, 'worker_busy'],
    [503, 'slo_shed'],
    [429, 'rate_limited'],
    [403, 'capability_access_denied'],
    [502, 'worker_failed'],
    [504, 'worker_timeout'],
  ] as const)
    test(`${status} ${code} is the answer`, async () => {
      a.answers(refusal(status, code))
      b.answers(refusal(status, code))
      const answer = await both().call()
      expect(answer).toMatchObject({ status, text: JSON.stringify({ error: code, reason: code }) })
      expect(a.routed().length + b.routed().length).toBe(1)
    })

  test('of a worker with the same code is the answer', async () => {
    for (const one of [a, b]) one.answers(refusal(503, 'shutting_down', { 'x-worker-id': 'worker-hello-world' }))
    expect((await both().call()).status).toBe(503)
    expect(a.routed().length + b.routed().length).toBe(1)
  })

  test('of all controllers is the answer, not an error', async () => {
    a.answers(refusal(503, 'policy_not_ready'))
    await b.link.set({ refuse: true })
    expect(await both().call()).toMatchObject({ status: 503, text: expect.stringContaining('policy_not_ready') })
  })
})

test('a controller in its lame-duck time gets no further calls while there is another one', async () => {
  const leaving = { connection: 'close' }
  a.answers((_call, response) => answerJson(response, 200, {}, leaving))
  a.fake.script('/capabilities', (_call, response) => answerJson(response, 200, { capabilities: [] }, leaving))
  const client = both()
  await until('it is left', async () => {
    await client.call()
    return client.changes.length > 0
  })
  expect(client.changes).toEqual([{ change: 'avoided', controller: a.url, reason: 'it is shutting down' }])
  expect(await callsOneByOne(client, 3)).toEqual({ [b.url]: 3 })
})

test('an answer that only renews its connection does not count as leaving', async () => {
  a.answers((_call, response) => answerJson(response, 200, {}, { connection: 'close' }))
  const client = both()
  const looks = () => a.fake.received.filter(({ path }) => path.startsWith('/capabilities')).length
  await until('it was looked at', async () => {
    await callsOneByOne(client, 2)
    return looks() > 0
  })
  expect(client.changes).toEqual([])
})

test('a caller that leaves ends its wait for a connection at once', async () => {
  await a.link.set({ silence: true })
  const client = several.client([a.url])
  const leaving = new AbortController()
  const called = client.call({}, leaving.signal)
  await until('a connection is being made', () => a.link.connections() === 1)
  leaving.abort(new Error('the caller leaves'))
  await expect(called).rejects.toThrow('the caller leaves')
})

test('a request that cannot be sent to anybody is no fault of the controllers', async () => {
  const client = both()
  await expect(client.route({ verb: 'invoke', capability: 'x', version: 'a\nb' })).rejects.toThrow('header')
  expect(client.changes).toEqual([])
})

test('a new certificate is shown on new connections to all of them', async () => {
  const client = both()
  await callsOneByOne(client, 2)
  const before = [a.link.connections(), b.link.connections()]
  several.source.set(await several.otherCredentials())
  await callsOneByOne(client, 2)
  expect([a.link.connections(), b.link.connections()]).toEqual(before.map((count) => count + 1))
})

test('a client that was closed makes no call', async () => {
  const client = both()
  await client.close()
  await expect(client.call()).rejects.toThrow('destroyed')
  expect(client.changes).toEqual([])
})
