// Every way out that answers without our hooks: Node's parser, Fastify's router and body parsers. A stranger is told 401 or
// cut off, a peer gets a problem with the right status; each time with a record and a count, and never 5xx.
import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

const CALL = '{"verb":"invoke","capability":"hello_world"}'
const JSON_TYPE = 'Content-Type: application/json\r\n'

let mesh: Mesh
let worker: FakeWorker
let execute: Execute
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(mesh, (...call) => {
    execute(...call)
  })
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

/** A request as bytes, and how a peer with a certificate is answered. */
type Exit = { readonly text: string; readonly status: number; readonly error: string; readonly allow?: string }

const request = (method: string, target: string, headers = '', body = ''): string =>
  `${method} ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`
const invalid = (text: string): Exit => ({ text, status: 400, error: 'request_invalid' })
const unknown = (headers: string, body: string): Exit => ({
  text: request('POST', '/no/such/route', headers, body),
  status: 404,
  error: 'not_found',
})
const wrongMethod = (method: string, path: string, allow: string, headers = '', body = ''): Exit => ({
  text: request(method, path, headers, body),
  status: 405,
  error: 'method_not_allowed',
  allow,
})
const tooLong = (target: string): Exit => ({ text: request('POST', target), status: 414, error: 'uri_too_long' })
const notAccepted = (headers: string): Exit => ({
  text: request('POST', '/route', headers, CALL),
  status: 415,
  error: 'unsupported_media_type',
})

const exits: Record<string, Exit> = {
  'a parameter of 101 letters': tooLong(`/route/a/${'x'.repeat(101)}`),
  'a parameter of 10,000 letters': tooLong(`/route/${'x'.repeat(10_000)}/b`),
  'a long path that is not a route': tooLong(`/${'x'.repeat(101)}`),
  'a long query': tooLong(`/workers?${'x'.repeat(2048)}`),
  'an unreadable path': invalid(request('POST', '/route/%zz/a')),
  'an unreadable parameter': invalid(request('POST', '/route/%c3%28/a')),
  'an absolute target': invalid(request('GET', 'https://a/workers')),
  'an asterisk': invalid(request('OPTIONS', '*')),
  'an unknown route with JSON': unknown(JSON_TYPE, '{}'),
  'an unknown route with malformed JSON': unknown(JSON_TYPE, '{"verb":'),
  'an unknown route with a poisoned prototype': unknown(JSON_TYPE, '{"__proto__":1}'),
  'an unknown route with an empty JSON body': unknown(JSON_TYPE, ''),
  'an unknown route with text': unknown('Content-Type: text/plain\r\n', 'x'),
  'an unknown route with a form': unknown('Content-Type: application/x-www-form-urlencoded\r\n', 'a=b'),
  'an unknown route with a type that is none': unknown('Content-Type: ;;;\r\n', 'x'),
  'an unknown route with a body of no type': unknown('', 'x'),
  'an unknown route with too large a body': unknown(JSON_TYPE, `"${'x'.repeat(2 * 1024 * 1024)}"`),
  'an upgrade of an unknown route': {
    text: request('GET', '/chat', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'),
    status: 404,
    error: 'not_found',
  },
  'GET for a call': wrongMethod('GET', '/route', 'POST'),
  'PUT with malformed JSON for a call': wrongMethod('PUT', '/route', 'POST', JSON_TYPE, '{'),
  'DELETE for the raw form': wrongMethod('DELETE', '/route/a/b', 'POST'),
  'POST for the catalogue': wrongMethod('POST', '/workers', 'GET', JSON_TYPE, '{}'),
  'HEAD for a call': wrongMethod('HEAD', '/route', 'POST'),
  OPTIONS: wrongMethod('OPTIONS', '/register', 'POST'),
  TRACE: wrongMethod('TRACE', '/heartbeat', 'POST'),
  PROPFIND: wrongMethod('PROPFIND', '/deregister', 'POST'),
  'QUERY without a type': wrongMethod('QUERY', '/route', 'POST', '', 'x'),
  CONNECT: {
    text: 'CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n',
    status: 405,
    error: 'method_not_allowed',
  },
  'text for a call': notAccepted('Content-Type: text/plain\r\n'),
  'no type for a call': notAccepted(''),
  'a type that is none for a call': notAccepted('Content-Type: ;;;\r\n'),
  'a compressed call': notAccepted(`${JSON_TYPE}Content-Encoding: gzip\r\n`),
  'a call that is too large': {
    text: request('POST', '/route', JSON_TYPE, `"${'x'.repeat(1024 * 1024)}"`),
    status: 413,
    error: 'payload_too_large',
  },
  'a call that is not JSON': invalid(request('POST', '/route', JSON_TYPE, '{')),
  'a call without a body': invalid(request('POST', '/route')),
  'an unknown expectation': invalid(request('POST', '/route', `${JSON_TYPE}Expect: foo\r\n`, CALL)),
  'HTTP/1.0': invalid('GET /workers HTTP/1.0\r\nHost: a\r\n\r\n'),
  'no Host header': invalid('GET /workers HTTP/1.1\r\nConnection: close\r\n\r\n'),
  'the preface of HTTP/2': invalid('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  'a version that is none': invalid('GET /workers HTTP/3.7\r\nHost: a\r\n\r\n'),
  'a method that is none': invalid('FOO /workers HTTP/1.1\r\nHost: a\r\n\r\n'),
  'a length and chunks': invalid(
    'POST /route HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ),
  'two lengths': invalid('POST /route HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello'),
  'a bare line feed': invalid('GET /workers HTTP/1.1\nHost: a\n\n'),
  'a folded header': invalid('GET /workers HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n'),
  garbage: invalid('\x00\x01\x02\r\n\r\n'),
  'headers of 17 KB': {
    text: `GET /workers HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`,
    status: 431,
    error: 'headers_too_large',
  },
  'headers that do not end': { text: 'GET /workers HTTP/1.1\r\nHost: a\r\n', status: 408, error: 'request_timeout' },
}

type Reply = { status: number; head: string; body: Record<string, unknown> | undefined; decisionId: string }

async function replyTo({ text }: { text: string }, identity?: string): Promise<Reply> {
  const received = await exchange(await openTls(mesh, identity), text, 20_000)
  const [head = '', body = ''] = received.split('\r\n\r\n')
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]),
    head: head.toLowerCase(),
    body: body === '' ? undefined : (JSON.parse(body) as Record<string, unknown>),
    decisionId: /x-decision-id: (\S+)/i.exec(head)?.[1] ?? '',
  }
}

async function metric(name: string): Promise<number> {
  const { text } = await mesh.admin('/metrics')
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  )
}
const strangers = (): Promise<number> =>
  metric('controller_identity_refused_total{reason="client_certificate_required"}')
const errorsOf = (code: string): Promise<number> => metric(`controller_request_errors_total{code="${code}"}`)
const recordOf = (decisionId: string): Promise<AuditLine> =>
  mesh.auditedAs((line) => line['decision_id'] === decisionId)

describe('without a certificate', () => {
  for (const [name, exit] of Object.entries(exits)) {
    test.concurrent(`${name}: 401, recorded, and the connection ends`, async () => {
      const { status, head, decisionId } = await replyTo(exit)
      expect(status).toBe(401)
      expect(head).toContain('content-type: application/problem+json')
      expect(head).toContain('connection: close')
      expect(await recordOf(decisionId)).toMatchObject({
        event: 'identity_refused',
        error: 'client_certificate_required',
        remote_address: expect.stringContaining('127.0.0.1') as string,
      })
    })
  }

  test('each of them is counted', async () => {
    expect(await strangers()).toBe(Object.keys(exits).length)
    expect(await errorsOf('client_certificate_required')).toBe(Object.keys(exits).length)
  })

  test('a hundred on one connection: the first is answered, and the connection ends', async () => {
    const before = await strangers()
    const received = await exchange(
      await openTls(mesh, undefined),
      exits['a parameter of 101 letters']!.text.repeat(100),
    )
    expect(received.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 401'])
    expect(await strangers()).toBeGreaterThan(before)
  })
})

describe('with a certificate', () => {
  for (const [name, exit] of Object.entries(exits)) {
    test.concurrent(`${name}: ${exit.status} ${exit.error} as a problem, recorded`, async () => {
      const { status, head, body, decisionId } = await replyTo(exit, STREAMING)
      expect(status).toBe(exit.status)
      expect(head).toContain('content-type: application/problem+json')
      const problem = {
        status,
        error: exit.error,
        decision_id: decisionId,
        requester: 'spiffe://crank.local/worker/streaming',
      }
      expect(body ?? problem).toMatchObject(problem)
      expect(body === undefined).toBe(exit.text.startsWith('HEAD'))
      expect(/^allow: (.*)$/m.exec(head)?.[1]?.trim()).toBe(exit.allow?.toLowerCase())
      expect(await recordOf(decisionId)).toMatchObject({
        event: 'request_refused',
        error: exit.error,
        requester_spiffe_id: 'spiffe://crank.local/worker/streaming',
      })
    })
  }

  test('each of them is counted under its code, and none as an internal error', async () => {
    const codes = Object.values(exits).map(({ error }) => error)
    for (const code of new Set(codes)) {
      expect(await errorsOf(code), code).toBe(codes.filter((one) => one === code).length)
    }
    expect(await errorsOf('internal_error')).toBe(0)
  })

  test('415 names what is accepted', async () => {
    const { head, body } = await replyTo(exits['text for a call']!, STREAMING)
    expect(head).toContain('accept: application/json')
    expect(body?.['reason']).toContain('send application/json')
  })
})

async function streamed(text: string): Promise<{ socket: TLSSocket; received: () => string }> {
  execute = (_request, response) => {
    response.writeHead(200, { 'content-length': '200' }).write('a'.repeat(100))
  }
  const socket = await openTls(mesh, STREAMING)
  let received = ''
  socket.setEncoding('latin1').on('data', (part: string) => (received += part))
  socket.write(text)
  await until('the answer began', () => received.includes('aaa'))
  return { socket, received: () => received }
}
const CALL_TEXT = `POST /route HTTP/1.1\r\nHost: a\r\n${JSON_TYPE}Content-Length: ${CALL.length}\r\n\r\n${CALL}`

test('garbage behind a running stream ends the connection without a byte of an answer, and is recorded and counted', async () => {
  const before = await metric('controller_connections_refused_total{reason="malformed"}')
  const { socket, received } = await streamed(CALL_TEXT)
  const recorded = (await mesh.audit()).length
  socket.write('garbage\r\n\r\n')
  await once(socket, 'close')
  expect(received().match(/HTTP\/1\.1/g)).toHaveLength(1)
  expect(received()).toMatch(/a{100}$/)
  await mesh.auditedAs(
    ({ seq, event, ...line }) => seq > recorded && event === 'request_refused' && line['error'] === 'request_invalid',
  )
  expect(await metric('controller_connections_refused_total{reason="malformed"}')).toBe(before + 1)
})

test('garbage behind the second of two pipelined calls gets no answer into the second', async () => {
  const first = 'GET /capabilities HTTP/1.1\r\nHost: a\r\n\r\n'
  const { socket, received } = await streamed(first + CALL_TEXT)
  socket.write('garbage\r\n\r\n')
  await once(socket, 'close')
  expect(received().match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200'])
  expect(received()).toMatch(/a{100}$/)
})

for (const [who, identity, status] of [
  ['a stranger', undefined, 401],
  ['a peer', STREAMING, 404],
] as const) {
  test(`${who} that drips its body after the answer has the answer, and the connection ends`, async () => {
    const socket = await openTls(mesh, identity)
    const drip = setInterval(() => socket.write('x'), 100)
    const text = `POST /no/such/route HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n`
    const received = await exchange(socket, text, 30_000)
    clearInterval(drip)
    expect(received.match(/HTTP\/1\.1 \d{3}/g)).toEqual([`HTTP/1.1 ${status}`])
  })
}

test('a request behind a refused upload is not served: its answer could not be sent', async () => {
  const before = worker.seen.length
  const socket = await openTls(mesh, STREAMING, { allowHalfOpen: true })
  let received = ''
  socket.setEncoding('latin1').on('data', (part: string) => (received += part))
  socket.write('POST /no/such/route HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nxxx')
  await once(socket, 'end')
  socket.write(`xxxxxxx${CALL_TEXT}`)
  socket.end()
  await once(socket, 'close')
  expect(received.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 404'])
  await mesh.auditedAs((line) => line['reason'] === 'the connection is closing: open another one')
  expect(worker.seen).toHaveLength(before)
})
