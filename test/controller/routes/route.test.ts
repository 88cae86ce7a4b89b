import { exactTimeout } from '../../../src/platform/timeouts.ts'
import { createTestChains } from '../../fixtures/call-chains.ts'
// The two forms of a call: what the pipeline gets of a request, and what is refused before it.
import { text } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import type { RouteCall } from '../../../src/controller/call.ts'
import { createBodiesInFlight } from '../../../src/controller/routes/bodies-in-flight.ts'
import { routeJson, routeRaw } from '../../../src/controller/routes/route.ts'
import { AppError } from '../../../src/core/errors.ts'
import { CALLER, createRoutedApp, DECISION_ID } from '../../fixtures/routed-app.ts'

let app: FastifyInstance
afterEach(() => app.close())

/** Answers as a worker would: 200, with what the call brought. */
async function setUp({
  route = answered,
  isCut = false,
}: { route?: (call: RouteCall) => unknown; isCut?: boolean } = {}) {
  const calls: RouteCall[] = []
  const options = {
    route: async (call: RouteCall) => {
      calls.push(call)
      await route(call)
    },
    bodyLimitBytes: 1024,
    chains: createTestChains(),
    arrive: () => undefined,
    startTimeout: exactTimeout,
    isCut: () => isCut,
    bodies: createBodiesInFlight(),
  }
  app = await createRoutedApp(async (scope) => {
    await scope.register(routeJson, options)
    await scope.register(routeRaw, options)
  })
  return calls
}

async function answered({ sink, body }: RouteCall): Promise<void> {
  const sent = Buffer.isBuffer(body) ? body : Buffer.from(await text(body))
  sink.start(200, ['content-type', 'application/octet-stream', 'content-length', String(sent.length)])
  sink.write(sent)
  sink.end()
}

const postJson = (body: object | string, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'POST',
    url: '/route',
    headers: { 'content-type': 'application/json', ...headers },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  })
const HELLO = { verb: 'invoke', capability: 'hello_world' }
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

describe('the JSON form', () => {
  test('becomes a call of the peer, with the bytes of its payload as they were sent', async () => {
    const calls = await setUp()
    const answer = await postJson('{"verb":"invoke","capability":"hello_world","payload": {"b":1e2, "a":"\\u0041"} }')
    expect(calls).toMatchObject([
      {
        form: 'json',
        verb: 'invoke',
        name: 'hello_world',
        capability: 'invoke:hello_world',
        caller: CALLER,
        decisionId: DECISION_ID,
        priority: 'normal',
        idempotencyKey: undefined,
        timeoutMs: 30_000,
        contentType: 'application/json',
        contentLength: undefined,
      },
    ])
    expect(answer.body).toBe('{"b":1e2, "a":"\\u0041"}')
  })

  test('takes priority, idempotency key and time limit from the body', async () => {
    const calls = await setUp()
    await postJson({ ...HELLO, priority: 'high', idempotency_key: 'once', timeout_ms: 5 })
    expect(calls).toMatchObject([{ priority: 'high', idempotencyKey: 'once', timeoutMs: 5 }])
  })

  test('without a payload sends null', async () => {
    await setUp()
    expect((await postJson(HELLO)).body).toBe('null')
  })

  const refused: readonly [what: string, body: object | string, status: number, error: string][] = [
    ['an unknown member', { ...HELLO, caller: 'spiffe://crank.local/admin' }, 400, 'request_invalid'],
    ['a missing member', { verb: 'invoke' }, 400, 'request_invalid'],
    ['a capability that is not a word', { ...HELLO, capability: 'a:b' }, 400, 'request_invalid'],
    ['a time limit as text', { ...HELLO, timeout_ms: '5' }, 400, 'request_invalid'],
    ['a time limit above five minutes', { ...HELLO, timeout_ms: 300_001 }, 400, 'request_invalid'],
    ['what is not JSON', '{"verb":', 400, 'request_invalid'],
    ['a duplicate member', '{"verb":"a","verb":"b","capability":"c"}', 400, 'request_invalid'],
    ['a body above the limit', { ...HELLO, payload: 'x'.repeat(1024) }, 413, 'payload_too_large'],
  ]
  for (const [what, body, status, error] of refused) {
    test(`refuses ${what} before the pipeline`, async () => {
      const calls = await setUp()
      const answer = await postJson(body)
      expect(answer.statusCode).toBe(status)
      expect(answer.json()).toMatchObject({ error, requester: CALLER, decision_id: DECISION_ID })
      expect(calls).toEqual([])
    })
  }

  test('refuses another content type', async () => {
    const calls = await setUp()
    expect((await postJson(HELLO, { 'content-type': 'text/plain' })).json()).toMatchObject({
      error: 'unsupported_media_type',
    })
    expect(calls).toEqual([])
  })

  test('refuses a compressed body', async () => {
    await setUp()
    expect((await postJson(HELLO, { 'content-encoding': 'gzip' })).statusCode).toBe(415)
  })
})

describe('the raw form', () => {
  const post = (url: string, headers: Record<string, string> = {}, payload?: string) =>
    app.inject({ method: 'POST', url, headers, ...(payload !== undefined && { payload }) })

  test('takes the capability from the path and passes the body on, whatever its type', async () => {
    const calls = await setUp()
    const answer = await post('/route/invoke/hello_world', { 'content-type': 'text/csv' }, 'a,b')
    expect(calls).toMatchObject([
      { form: 'raw', capability: 'invoke:hello_world', contentType: 'text/csv', contentLength: 3, timeoutMs: 30_000 },
    ])
    expect(answer.body).toBe('a,b')
  })

  test('takes priority, idempotency key and time limit from headers', async () => {
    const calls = await setUp()
    const headers = { 'x-crank-priority': 'low', 'idempotency-key': 'once', 'x-crank-timeout-ms': '300000' }
    await post('/route/invoke/hello_world', headers)
    expect(calls).toMatchObject([{ priority: 'low', idempotencyKey: 'once', timeoutMs: 300_000 }])
  })

  test('without a body and a type is a call with no bytes', async () => {
    const calls = await setUp()
    await post('/route/invoke/hello_world')
    expect(calls).toMatchObject([
      { contentType: 'application/octet-stream', contentLength: undefined, body: Buffer.alloc(0) },
    ])
  })

  const refused: readonly [what: string, url: string, headers: Record<string, string>][] = [
    ['a verb that is not a word', '/route/In-voke/hello_world', {}],
    ['an unknown priority', '/route/invoke/hello_world', { 'x-crank-priority': 'urgent' }],
    ['a time limit that is not a number', '/route/invoke/hello_world', { 'x-crank-timeout-ms': '1e3' }],
    ['a time limit above five minutes', '/route/invoke/hello_world', { 'x-crank-timeout-ms': '300001' }],
    ['an idempotency key with a space', '/route/invoke/hello_world', { 'idempotency-key': 'a b' }],
  ]
  for (const [what, url, headers] of refused) {
    test(`refuses ${what}`, async () => {
      const calls = await setUp()
      const answer = await post(url, headers)
      expect(answer.json()).toMatchObject({ status: 400, error: 'request_invalid' })
      expect(calls).toEqual([])
    })
  }
})

describe('both forms', () => {
  test('pass on tracestate only with its traceparent, and last-event-id only if it is printable', async () => {
    const calls = await setUp()
    await postJson(HELLO, { tracestate: 'a=b' })
    await postJson(HELLO, { tracestate: 'a=b', traceparent: PARENT, 'last-event-id': '17' })
    await postJson(HELLO, { 'last-event-id': 'x'.repeat(257) })
    expect(calls).toMatchObject([
      { tracestate: undefined, lastEventId: undefined },
      { tracestate: 'a=b', lastEventId: '17' },
      { lastEventId: undefined },
    ])
  })

  test('put the ids into the answer of a worker', async () => {
    const calls = await setUp()
    const { headers } = await postJson(HELLO)
    expect(headers).toMatchObject({ 'x-decision-id': DECISION_ID, 'x-trace-id': calls[0]!.trace.traceId })
  })

  test('answer what the pipeline throws, with the capability', async () => {
    await setUp({ route: () => Promise.reject(new AppError('worker_timeout')) })
    const answer = await postJson(HELLO)
    expect(answer.statusCode).toBe(504)
    expect(answer.json()).toMatchObject({ error: 'worker_timeout', capability: 'invoke:hello_world' })
  })

  test.each([
    [false, 'caller_left'],
    [true, 'shutdown'],
  ] as const)('know who ends the connection when the drain is over: %s', async (isCut, by) => {
    const calls = await setUp({ isCut })
    await postJson(HELLO)
    expect(calls[0]!.sink.goneBy()).toBe(by)
  })
})
