// Answers in bytes: one whose end cannot be told from a broken connection is none, and one that was cut never looks whole.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRawWorker, type RawWorker, type Reply } from '../fakes/raw-worker.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

let mesh: Mesh
let worker: RawWorker
let execute: Reply
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startRawWorker(mesh, (...call) => {
    execute(...call)
  })
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

const CALL = '{"verb":"invoke","capability":"hello_world"}'
const REQUEST = `POST /route HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${CALL.length}\r\n\r\n${CALL}`

type Ending = 'FIN' | 'RST' | 'nothing'
const answering: Record<Ending, (text: string) => Reply> = {
  FIN: (text) => (socket) => socket.end(text),
  RST: (text) => (socket, reset) => socket.write(text, reset),
  nothing: (text) => (socket) => socket.write(text),
}

type Call = { received: string; status: number; head: string; body: string; outcome: AuditLine }

/** One call, answered with these bytes; as much of the answer as the caller got, and the outcome. */
async function callAnsweredBy(text: string, ending: Ending = 'nothing'): Promise<Call> {
  execute = answering[ending](text)
  const received = await exchange(await openTls(mesh, STREAMING), REQUEST)
  const [head = '', ...body] = received.split('\r\n\r\n')
  const decisionId = /x-decision-id: (\S+)/i.exec(head)?.[1]
  const outcome = await mesh.auditedAs((line) => line.event === 'route_outcome' && line['decision_id'] === decisionId)
  return { received, status: Number(head.slice(9, 12)), head: head.toLowerCase(), body: body.join('\r\n\r\n'), outcome }
}

const OK = 'HTTP/1.1 200 OK\r\n'

describe('is not an answer, and worker_failed for the caller and the record:', () => {
  const invalid: Record<string, [string, Ending?]> = {
    'a 200 without a length that ends with the connection': [`${OK}\r\nthe start of`, 'FIN'],
    'a 200 without a length that is reset': [`${OK}\r\nthe start of`, 'RST'],
    'a 200 without a length that stays open': [`${OK}\r\nthe start of`],
    'a 404 without a length': [`HTTP/1.1 404 Not Found\r\n\r\nnot`, 'FIN'],
    'an HTTP/1.0 answer without a length': ['HTTP/1.0 200 OK\r\n\r\nthe start of', 'FIN'],
    'one that says it closes': [`${OK}connection: close\r\n\r\nthe start of`, 'FIN'],
    'gzip under chunks': [`${OK}transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    'a transfer coding that is not chunked': [`${OK}transfer-encoding: gzip\r\n\r\nabc`, 'FIN'],
    'identity as a transfer coding': [`${OK}transfer-encoding: identity\r\n\r\nabc`, 'FIN'],
    'chunks and a length': [`${OK}transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    'two lengths': [`${OK}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd`],
    'a length that is not a number': [`${OK}content-length: many\r\n\r\nabc`],
    'a status line of HTTP/2': ['HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok'],
    'a status line of HTTP/0.9': ['HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\nok'],
    'a switch of protocols': ['HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
    'no status line': ['Hello, caller!\r\n\r\n'],
    'a status that is not a number': ['HTTP/1.1 2x0 OK\r\ncontent-length: 2\r\n\r\nok'],
  }
  for (const [name, [text, ending]] of Object.entries(invalid)) {
    test(name, async () => {
      const { status, head, body, outcome } = await callAnsweredBy(text, ending)
      expect(status).toBe(502)
      expect(head).not.toContain('x-worker-id')
      expect(JSON.parse(body)).toMatchObject({ error: 'worker_failed' })
      expect(outcome).toMatchObject({ outcome: 'worker_failed', status: 502, error: 'worker_failed' })
    })
  }
})

describe('is cut where it was cut, for the caller and the record:', () => {
  const cut: Record<string, string> = {
    'a body shorter than its length': `${OK}content-length: 100\r\n\r\nthe start of`,
    'a body shorter than its length, of a connection that closes': `${OK}connection: close\r\ncontent-length: 100\r\n\r\nthe start of`,
    'chunks without the last one': `${OK}transfer-encoding: chunked\r\n\r\nc\r\nthe start of\r\n`,
    'chunks without the last one, of a connection that closes': `${OK}connection: close\r\ntransfer-encoding: chunked\r\n\r\nc\r\nthe start of\r\n`,
    'a chunk that is cut': `${OK}transfer-encoding: chunked\r\n\r\nff\r\nthe start of`,
  }
  for (const [name, text] of Object.entries(cut)) {
    for (const ending of ['FIN', 'RST'] as const) {
      test(`${name}, by ${ending}`, async () => {
        const { status, head, body, outcome } = await callAnsweredBy(text, ending)
        expect(status).toBe(200)
        expect(body).toContain('the start of')
        // The length is not reached, or the last chunk is missing.
        expect(head.includes('content-length: 100') || !body.endsWith('0\r\n\r\n')).toBe(true)
        expect(outcome).toMatchObject({ outcome: 'worker_failed', status: 200 })
      })
    }
  }
})

describe('is a whole answer:', () => {
  const whole: Record<string, [text: string, status: number, body: string, ending?: Ending]> = {
    'one with a length': [`${OK}content-length: 2\r\n\r\nok`, 200, 'ok'],
    'one with a length, then the end': [`${OK}content-length: 2\r\n\r\nok`, 200, 'ok', 'FIN'],
    'one with a length, then a reset': [`${OK}content-length: 2\r\n\r\nok`, 200, 'ok', 'RST'],
    'one in chunks': [`${OK}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`, 200, '2\r\nok\r\n0\r\n\r\n'],
    'chunked in capitals': [`${OK}transfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`, 200, '2\r\nok\r\n0\r\n\r\n'],
    'an empty one': [`${OK}content-length: 0\r\n\r\n`, 200, ''],
    'HTTP/1.0 with a length': ['HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok', 200, 'ok', 'FIN'],
    '204': ['HTTP/1.1 204 No Content\r\n\r\n', 204, ''],
    '204 that names a length': ['HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n', 204, ''],
    'one behind 100': [`HTTP/1.1 100 Continue\r\n\r\n${OK}content-length: 2\r\n\r\nok`, 200, 'ok'],
    'one behind 102 and 103': [
      `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}content-length: 2\r\n\r\nok`,
      200,
      'ok',
    ],
  }
  for (const [name, [text, status, body, ending]] of Object.entries(whole)) {
    test(name, async () => {
      const call = await callAnsweredBy(text, ending)
      expect(call).toMatchObject({ status, body })
      expect(call.head).toContain('x-worker-id: worker-hello-world')
      expect(call.received.match(/HTTP\/1\.1 \d{3}/g)).toHaveLength(1)
      expect(call.outcome).toMatchObject({ outcome: 'completed', status })
      expect(call.head.includes('content-length') && status === 204).toBe(false)
    })
  }

  test('one that comes byte by byte, behind an interim one', async () => {
    execute = (socket) => {
      const bytes = `HTTP/1.1 100 Continue\r\n\r\n${OK}content-length: 2\r\n\r\nok`.split('')
      const next = (): void => {
        const byte = bytes.shift()
        if (byte !== undefined) socket.write(byte, () => setImmediate(next))
      }
      next()
    }
    expect(await exchange(await openTls(mesh, STREAMING), REQUEST)).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nok$/)
  })
})
