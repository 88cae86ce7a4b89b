// A call that a controller may have executed before it was lost: sent again only under its idempotency key. Real sockets.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseTraceparent } from '../../../src/core/trace-context.ts'
import { parseEvents } from '../../../src/worker/sse.ts'
import { answerJson, type Script } from '../../../src/worker/testing/fake-controller.ts'
import { until } from '../../fixtures/until.ts'
import {
  avoidedOf,
  callsOneByOne,
  HELLO,
  openSeveral,
  refusal,
  type Client,
  type Linked,
  type Several,
} from './several.ts'

const TRACE = '00-5a958327d03094ad6e72f50b3c873c26-b7ad6b7169203331-01'

let several: Several
let a: Linked
let b: Linked
let client: Client
beforeEach(async () => {
  several = await openSeveral()
  a = await several.start()
  b = await several.start()
  // The first call goes to the second of the list.
  client = several.client([b.url, a.url])
})
afterEach(() => several.close())

/** Breaks the connection once the request has arrived. */
const breakOff: Script = (_call, response) => void response.destroy()
const keyed = { idempotency_key: 'k1', timeout_ms: 20_000 }

describe('a connection that breaks after the call was sent', () => {
  beforeEach(() => a.answers(breakOff))

  test('ends a call without a key, and the error says that it may have been executed', async () => {
    const error = await client.call().catch((cause: unknown) => cause)
    expect((error as Error).message).toMatch(
      /^no controller has answered: https:\/\/127\.0\.0\.1:\d+: .*; it may have been executed, and without an idempotency key it is not sent again$/,
    )
    expect((error as Error).message).toContain(a.url)
    expect(a.routed()).toHaveLength(1)
    expect(b.routed()).toEqual([])
  })

  test('lets a call with a key go on, with the same key and trace, and what is left of its time', async () => {
    const trace = parseTraceparent(TRACE)!
    const answer = await client.route({ ...HELLO, ...keyed }, { trace })
    expect(answer).toMatchObject({ status: 200, controller: { name: b.url } })
    answer.body.resume()
    const [first, second] = [a.routed(), b.routed()].map(([call]) => call!)
    expect(second!.headers).toMatchObject({ 'idempotency-key': 'k1', traceparent: TRACE })
    expect(second!.body).toEqual(first!.body)
    expect(first!.headers['x-crank-timeout-ms']).toBe('20000')
    expect(Number(second!.headers['x-crank-timeout-ms'])).toBeLessThan(20_000)
  })

  test('closes that controller for the calls that follow', async () => {
    await client.call().catch(() => undefined)
    expect(await callsOneByOne(client, 3)).toEqual({ [b.url]: 3 })
  })

  test('is the end when all controllers do so, also with a key', async () => {
    b.answers(breakOff)
    await expect(client.call(keyed)).rejects.toThrow(a.url)
    await expect(client.call(keyed)).rejects.toThrow(b.url)
  })
})

test('while the first attempt still runs, its answer is waited for', async () => {
  a.answers(breakOff)
  let asked = 0
  b.answers((call, response) => {
    asked += 1
    if (asked < 3) refusal(409, 'idempotency_in_progress')(call, response)
    else answerJson(response, 200, { greeting: 'of the first attempt' }, { 'idempotent-replayed': 'true' })
  })
  expect(await client.call(keyed)).toMatchObject({ status: 200, text: expect.stringContaining('of the first attempt') })
  expect(asked).toBe(3)
})

test('a call whose key another call holds gets that answer at once', async () => {
  for (const one of [a, b]) one.answers(refusal(409, 'idempotency_in_progress'))
  expect((await client.call(keyed)).status).toBe(409)
  expect(a.routed().length + b.routed().length).toBe(1)
})

test('no attempt begins after the time limit of the call', async () => {
  a.answers(breakOff)
  b.answers(refusal(409, 'idempotency_in_progress'))
  // The wait for the first attempt takes all of it.
  expect((await client.call({ ...keyed, timeout_ms: 900 })).status).toBe(409)
  expect(b.routed()).toHaveLength(1)
})

describe('a controller that hangs with connections that are open', () => {
  beforeEach(async () => {
    await callsOneByOne(client, 4)
    await a.link.set({ silence: true })
  })

  test('is left by a call with a key, and avoided by the calls that follow', async () => {
    // Two at the same time: one of them at each controller.
    const answers = await Promise.all([client.call(keyed), client.call({ ...keyed, idempotency_key: 'k2' })])
    expect(answers.map(({ by, status }) => ({ by, status }))).toEqual([
      { by: b.url, status: 200 },
      { by: b.url, status: 200 },
    ])
    expect(avoidedOf(client)).toEqual({ [a.url]: 'it hangs: no answer within 1500 ms' })
    expect(await callsOneByOne(client, 10)).toEqual({ [b.url]: 10 })
  })

  test('keeps a call without a key, which ends when it goes on; the others avoid it', async () => {
    const calls = [client.call(), client.call()]
    await until('it is avoided', () => client.changes.length > 0)
    expect(await callsOneByOne(client, 10)).toEqual({ [b.url]: 10 })
    await a.link.set({})
    const answers = await Promise.all(calls)
    expect(new Set(answers.map(({ by }) => by))).toEqual(new Set([a.url, b.url]))
    // Not one of them was sent twice.
    expect(a.routed().length + b.routed().length).toBe(4 + 10 + 2)
  })

  test('and answers looks is not hanging: a long call keeps its controller', async () => {
    await a.link.set({})
    const held: (() => void)[] = []
    a.answers((_call, response) => void held.push(() => answerJson(response, 200, {})))
    const long = Promise.all([client.call(keyed), client.call({ ...keyed, idempotency_key: 'k2' })])
    const looks = () => a.fake.received.filter(({ path }) => path.startsWith('/capabilities')).length
    await until('it was looked at', () => looks() > 0)
    held.forEach((answer) => answer())
    expect((await long).map(({ by }) => by).toSorted()).toEqual([a.url, b.url].toSorted())
    expect(client.changes).toEqual([])
  })
})

test('a stream that breaks is not begun again by itself: its receiver gets an error after what has arrived', async () => {
  a.answers((_call, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: 7\ndata: {"n":1}\n\n')
    response.once('close', () => undefined)
    setImmediate(() => response.destroy())
  })
  const { body, controller } = await client.route({ ...HELLO, ...keyed })
  expect(controller.name).toBe(a.url)
  const events: unknown[] = []
  const read = async (): Promise<void> => {
    for await (const { id } of parseEvents(body)) events.push(id)
  }
  await expect(read()).rejects.toThrow()
  expect(events).toEqual(['7'])
  expect(b.routed()).toEqual([])
})
