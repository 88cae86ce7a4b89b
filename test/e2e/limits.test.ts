// What is not served: malformed, oversized, slow, doubled. Each refusal is clear, counted, recorded, and loses nothing.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'

let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(mesh, greets)
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

const send = (body: string | Buffer, headers: Record<string, string> = {}, path = '/route') =>
  mesh.request(STREAMING, { path, method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })
const HELLO_CALL = '{"verb":"invoke","capability":"hello_world"}'

describe('the JSON form refuses', () => {
  const nested = `${'['.repeat(40)}${']'.repeat(40)}`
  const bodies: Record<string, [string | Buffer, string]> = {
    'no JSON': ['{"verb":', 'not valid JSON'],
    null: ['null', 'body must be object'],
    'an array': ['[]', 'body must be object'],
    'a string': ['"x"', 'body must be object'],
    'a missing member': ['{"verb":"invoke"}', 'capability'],
    'an unknown member': ['{"verb":"a","capability":"b","worker_id":"x"}', '("worker_id")'],
    'a wrong type, without coercion': ['{"verb":"a","capability":"b","timeout_ms":"5"}', 'timeout_ms'],
    'an upper-case verb': ['{"verb":"A","capability":"b"}', 'verb'],
    'a timeout over the maximum': ['{"verb":"a","capability":"b","timeout_ms":300001}', 'timeout_ms'],
    'a doubled member': ['{"verb":"a","verb":"b","capability":"c"}', 'duplicate member "verb"'],
    'more than 32 levels': [`{"verb":"a","capability":"b","payload":${nested}}`, 'nested deeper'],
    'a byte order mark': ['\ufeff{"verb":"a","capability":"b","payload":1}', 'byte order mark'],
    __proto__: ['{"verb":"a","capability":"b","payload":{"__proto__":1}}', 'the name "__proto__" is not allowed'],
    'an escaped __proto__': ['{"verb":"a","capability":"b","payload":[{"\\u005f_proto__":1}]}', 'the name "__proto__"'],
    'a prototype in a constructor': [
      '{"verb":"a","capability":"b","payload":{"constructor":{"a":1,"prototype":2}}}',
      'the name "constructor.prototype"',
    ],
    'invalid UTF-8': [Buffer.from('{"verb":"a","capability":"\xff"}', 'latin1'), 'UTF-8'],
    'a bad idempotency key': ['{"verb":"a","capability":"b","idempotency_key":"a\\nb"}', 'idempotency_key'],
    'an unknown priority': ['{"verb":"a","capability":"b","priority":"urgent"}', 'priority'],
  }
  for (const [name, [body, reason]] of Object.entries(bodies)) {
    test(`${name}, saying what is wrong`, async () => {
      const answer = await send(body)
      expect(answer).toMatchObject({
        status: 400,
        body: { error: 'request_invalid', decision_id: answer.headers['x-decision-id'] },
      })
      expect(answer.body.reason).toContain(reason)
      const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
      expect(record).toMatchObject({
        event: 'request_refused',
        requester_spiffe_id: 'spiffe://crank.local/worker/streaming',
      })
    })
  }

  test('other content types with 415', async () => {
    expect(await send(HELLO_CALL, { 'content-type': 'text/plain' })).toMatchObject({
      status: 415,
      body: { error: 'unsupported_media_type' },
    })
    expect(await send(HELLO_CALL, { 'content-encoding': 'gzip' })).toMatchObject({ status: 415 })
  })

  test('a body over 1 MiB with 413, whether its length is declared or not', async () => {
    const large = Buffer.from(
      JSON.stringify({ verb: 'invoke', capability: 'hello_world', payload: 'x'.repeat(1_048_576) }),
    )
    expect(await send(large)).toMatchObject({ status: 413, body: { error: 'payload_too_large' } })
    const chunked = await mesh.request(STREAMING, {
      path: '/route',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      // eslint-disable-next-line @typescript-eslint/require-await -- a chunked body
      body: (async function* () {
        yield large
      })() as never,
    })
    expect(chunked).toMatchObject({ status: 413, body: { error: 'payload_too_large' } })
  })

  test('a body that stops half-way, and serves the next caller', async () => {
    const socket = await openTls(mesh, STREAMING)
    socket.write(
      'POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"verb"',
    )
    await once(socket.resume().end(), 'close')
    expect(await send(HELLO_CALL)).toMatchObject({ status: 200 })
  })
})

describe('the raw form refuses', () => {
  const cases: Record<string, [string, Record<string, string>]> = {
    'a capability in upper case': ['/route/invoke/Hello', {}],
    'a timeout that is not a number': ['/route/invoke/hello_world', { 'x-crank-timeout-ms': '5s' }],
    'a timeout over the maximum': ['/route/invoke/hello_world', { 'x-crank-timeout-ms': '300001' }],
    'an unknown priority': ['/route/invoke/hello_world', { 'x-crank-priority': 'urgent' }],
    'an idempotency key that is too long': ['/route/invoke/hello_world', { 'idempotency-key': 'k'.repeat(129) }],
  }
  for (const [name, [path, headers]] of Object.entries(cases)) {
    test(name, async () => {
      expect(await send('x', headers, path)).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
    })
  }
})

describe('HTTP itself', () => {
  const line = 'POST /route HTTP/1.1\r\n'
  const json = `Content-Type: application/json\r\nContent-Length: ${HELLO_CALL.length}\r\nConnection: close\r\n`
  const refused: Record<string, [string, string]> = {
    'two Host headers': [`${line}Host: a\r\nHost: b\r\n${json}\r\n${HELLO_CALL}`, 'duplicate header host'],
    'two idempotency keys': [
      `${line}Host: a\r\nIdempotency-Key: 1\r\nIdempotency-Key: 2\r\n${json}\r\n${HELLO_CALL}`,
      'duplicate header idempotency-key',
    ],
    'HTTP/1.0': [`POST /route HTTP/1.0\r\nHost: a\r\n${json}\r\n${HELLO_CALL}`, 'only HTTP/1.1'],
    'no Host header': [`${line}${json}\r\n${HELLO_CALL}`, 'the header host is missing'],
    'an expectation that nobody knows': [
      `${line}Host: a\r\nExpect: foo\r\n${json}\r\n${HELLO_CALL}`,
      'the header expect',
    ],
    'an absolute target': [`POST https://a/route HTTP/1.1\r\nHost: a\r\n${json}\r\n${HELLO_CALL}`, 'readable path'],
    'an unreadable path': [`GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, 'readable path'],
  }
  for (const [name, [text, reason]] of Object.entries(refused)) {
    test(`refuses ${name} with 400 and a reason`, async () => {
      const answer = await exchange(await openTls(mesh, STREAMING), text)
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
      expect(answer).toContain(reason)
    })
  }

  const smuggled = {
    'CL and TE': `${line}Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'two lengths': `${line}Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
    'a bare line feed': 'GET /workers HTTP/1.1\nHost: a\n\n',
    'a folded header': 'GET /workers HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n',
    garbage: '\x00\x01\x02\r\n\r\n',
  }
  for (const [name, text] of Object.entries(smuggled)) {
    test(`ends the connection on ${name}`, async () => {
      expect(await exchange(await openTls(mesh, STREAMING), text)).toMatch(/^HTTP\/1\.1 400 /)
    })
  }

  test('answers 431 to 17 KB of headers', async () => {
    const text = `GET /workers HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`
    expect(await exchange(await openTls(mesh, STREAMING), text)).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('keeps header names like __proto__ from doing harm', async () => {
    const text = 'GET /workers HTTP/1.1\r\nHost: a\r\n__proto__: x\r\nconstructor: y\r\nConnection: close\r\n\r\n'
    expect(await exchange(await openTls(mesh, STREAMING), text)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('answers an unknown route with 404 in the one shape of errors', async () => {
    const answer = await mesh.request(STREAMING, { path: '/admin?x=1' })
    expect(answer).toMatchObject({ status: 404, body: { error: 'not_found', reason: 'no route GET /admin' } })
    expect((await mesh.request(STREAMING, { path: '/metrics' })).status).toBe(404)
  })
})

describe('slow clients', () => {
  test('lose a connection on which headers do not arrive within 5 s; one that was opened ahead stays', async () => {
    const ahead = await openTls(mesh, STREAMING)
    const socket = await openTls(mesh, STREAMING)
    const answer = await exchange(socket, 'GET /workers HTTP/1.1\r\nHost: a\r\n', 20_000)
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(await exchange(ahead, 'GET /workers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 200 /,
    )
  })

  test('lose a connection on which the TLS handshake does not come within 5 s', async () => {
    const socket = connect(mesh.controller.port, '127.0.0.1')
    socket.on('error', () => undefined).resume()
    await once(socket, 'close')
    expect(socket.destroyed).toBe(true)
  })

  test('are told 408 when a JSON body does not arrive within 10 s', async () => {
    const socket = await openTls(mesh, STREAMING)
    const answer = await exchange(
      socket,
      'POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{',
      20_000,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(answer).toContain('request_timeout')
  })
})

test('more connections than allowed are closed, and the controller recovers', async () => {
  const small = await startMesh({ env: { CRANK_MAX_CONNECTIONS: '3' } })
  const sockets = await Promise.all(Array.from({ length: 3 }, () => openTls(small, STREAMING)))
  const extra = connect(small.controller.port, '127.0.0.1')
  extra.on('error', () => undefined).resume()
  await once(extra, 'close')
  for (const socket of sockets) socket.destroy()
  await until('there is room again', async () => {
    const answer = await small.request(STREAMING, { path: '/workers' }).catch(() => undefined)
    return answer?.status === 200
  })
  await small.close()
})

test('errors of the controller are counted by code', async () => {
  await send('{')
  expect((await mesh.admin('/metrics')).text).toMatch(/controller_request_errors_total\{code="request_invalid"\} [1-9]/)
})
