// Answers that are decided while the body is still under way, by the worker or by the controller: each reaches its caller, and
// the record says what the caller got.
import { once } from 'node:events'
import { setInterval } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { startRawWorker, type RawWorker, type Reply } from '../fakes/raw-worker.ts'
import { startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

const ROUNDS = 15
const UPLOAD = 'x'.repeat(4 * 1024 * 1024)
const RAW = '/route/invoke/hello_world'
const DENIED = '/route/convert/document_to_pdf'

let mesh: Mesh
beforeAll(async () => {
  mesh = await startMesh()
})
afterAll(() => mesh.close())

const post = (path: string, body: string, headers = 'Content-Type: text/plain\r\n', length = body.length): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}Content-Length: ${length}\r\n\r\n${body}`
const json = (payload: string): string =>
  post(
    '/route',
    JSON.stringify({ verb: 'invoke', capability: 'hello_world', payload }),
    'Content-Type: application/json\r\n',
  )

/** One call after the other, each on a connection of its own; the status lines and the outcomes. */
async function repeated(text: string): Promise<{ statuses: string[]; decisionIds: string[] }> {
  const statuses: string[] = []
  const decisionIds: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const answer = await exchange(await openTls(mesh, STREAMING), text)
    statuses.push(answer.slice(9, 12))
    decisionIds.push(/x-decision-id: (\S+)/i.exec(answer)?.[1] ?? '')
  }
  return { statuses, decisionIds }
}
const all = (status: number): string[] => Array.from({ length: ROUNDS }, () => String(status))
const outcomeOf = (decisionId: string): Promise<AuditLine> =>
  mesh.auditedAs((line) => line.event === 'route_outcome' && line['decision_id'] === decisionId)

describe('a worker that answers before it has read the body, and closes', () => {
  let worker: RawWorker
  beforeAll(async () => {
    // With the body unread, closing resets the connection.
    const answer: Reply = (socket) => {
      socket.write('HTTP/1.1 413 Payload Too Large\r\ncontent-length: 8\r\n\r\ntoo long', () => socket.destroy())
    }
    worker = await startRawWorker(mesh, answer, { early: true })
    await worker.register()
  })
  afterAll(() => worker.close())

  for (const [form, text] of Object.entries({ raw: post(RAW, UPLOAD), JSON: json('x'.repeat(1_000_000)) })) {
    test(`has its answer passed on, in the ${form} form, each time`, async () => {
      const { statuses, decisionIds } = await repeated(text)
      expect(statuses).toEqual(all(413))
      for (const decisionId of decisionIds) {
        expect(await outcomeOf(decisionId)).toMatchObject({ outcome: 'completed', status: 413, attempts: 1 })
      }
    })
  }
})

test('a worker of the runtime that refuses an input in the middle of it is heard', async () => {
  const worker = await startRealWorker(mesh, mesh.origin, createHelloWorld())
  const large = post(
    RAW,
    JSON.stringify({ message: 'x'.repeat(17 * 1024 * 1024) }),
    'Content-Type: application/json\r\n',
  )
  const answer = await exchange(await openTls(mesh, STREAMING), large)
  expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  expect(answer).toContain('INPUT_TOO_LARGE')
  expect(answer).toMatch(/x-worker-id: worker-hello-world/i)
  await worker.close()
})

describe('the controller that refuses while the body is under way is heard', () => {
  const refusals: Record<string, [string, number]> = {
    'a denied upload': [post(DENIED, UPLOAD), 403],
    'an upload that nobody takes': [post(RAW, UPLOAD), 503],
    'a JSON body that is too large': [json(UPLOAD), 413],
    'a JSON body of another type': [post('/route', UPLOAD), 415],
    'an unknown route': [post('/nowhere', UPLOAD), 404],
  }
  for (const [name, [text, status]] of Object.entries(refusals)) {
    test(`${name}: ${status}, each time`, async () => {
      expect((await repeated(text)).statuses).toEqual(all(status))
    })
  }
})

describe('Expect: 100-continue', () => {
  let worker: FakeWorker
  beforeAll(async () => {
    worker = await startFakeWorker(mesh, (_request, response, body) => response.end(`got ${body}`))
    await worker.register()
  })
  afterAll(() => worker.close())

  const EXPECT = 'Expect: 100-continue\r\n'
  const CALL = '{"verb":"invoke","capability":"hello_world","payload":"hello"}'
  const JSON_TYPE = 'Content-Type: application/json\r\n'
  const head = (path: string, headers: string, length: number): string => post(path, '', headers + EXPECT, length)

  async function listen(text: string, identity?: string): Promise<{ socket: TLSSocket; received: () => string }> {
    const socket = await openTls(mesh, identity)
    let received = ''
    socket.setEncoding('latin1').on('data', (part: string) => (received += part))
    socket.write(text)
    return { socket, received: () => received }
  }

  for (const [form, path, body, headers] of [
    ['raw', RAW, 'hello', 'Content-Type: text/plain\r\n'],
    ['JSON', '/route', CALL, JSON_TYPE],
  ] as const) {
    test(`lets an allowed call of the ${form} form go on, once`, async () => {
      const { socket, received } = await listen(head(path, headers, body.length), STREAMING)
      await until('the caller may go on', () => received() !== '')
      expect(received()).toBe('HTTP/1.1 100 Continue\r\n\r\n')
      socket.write(body)
      await once(socket, 'close')
      expect(received().match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
      expect(received()).toMatch(/hello/)
    })
  }

  test('of the raw form is answered only when the decision is in the audit log', async () => {
    const seen = (await mesh.audit()).at(-1)!.seq
    const { socket, received } = await listen(head(RAW, 'Content-Type: text/plain\r\n', 5), STREAMING)
    await until('the caller may go on', () => received() !== '')
    const since = (await mesh.audit()).filter(({ seq }) => seq > seen)
    expect(since).toMatchObject([{ event: 'policy_decision', decision: 'allow' }])
    socket.end('hello')
    await once(socket, 'close')
  })

  const refused: Record<string, [string, string | undefined, number]> = {
    'a stranger': [head('/route', JSON_TYPE, 100), undefined, 401],
    'a denied upload': [head(DENIED, 'Content-Type: text/plain\r\n', 100), STREAMING, 403],
    'an unknown route': [head('/nowhere', JSON_TYPE, 100), STREAMING, 404],
    'a JSON body that is declared too large': [head('/route', JSON_TYPE, 2_000_000), STREAMING, 413],
    'another type for JSON': [head('/route', 'Content-Type: text/plain\r\n', 100), STREAMING, 415],
    'a request with two Host headers': [head('/route', `Host: b\r\n${JSON_TYPE}`, 100), STREAMING, 400],
  }
  for (const [name, [text, identity, status]] of Object.entries(refused)) {
    test(`does not let ${name} go on: ${status} is the only answer`, async () => {
      const answer = await exchange(await openTls(mesh, identity), text)
      expect(answer.match(/HTTP\/1\.1 \d{3}/g)).toEqual([`HTTP/1.1 ${status}`])
    })
  }
})

describe('the time of an upload', () => {
  let worker: FakeWorker
  let execute: Execute
  beforeAll(async () => {
    worker = await startFakeWorker(mesh, (...call) => execute(...call), { streaming: true })
    await worker.register()
  })
  afterAll(() => worker.close())

  const PARTS = 12
  async function* steadily(): AsyncGenerator<Buffer> {
    let sent = 0
    for await (const _tick of setInterval(50)) {
      yield Buffer.from('part')
      if (++sent === PARTS) return
    }
  }
  const upload = (timeoutMs: number, body: unknown) =>
    mesh.request(STREAMING, {
      path: RAW,
      method: 'POST',
      headers: { 'content-type': 'text/plain', 'x-crank-timeout-ms': String(timeoutMs) },
      body: body as string,
    })

  test("is not the worker's: a steady one may take longer than the time for the first byte", async () => {
    execute = (request, response) => {
      let size = 0
      request.on('data', (chunk: Buffer) => (size += chunk.length)).on('end', () => response.end(String(size)))
    }
    expect(await upload(300, steadily())).toMatchObject({ status: 200, text: String(4 * PARTS) })
  })

  test('counts again from its end: a worker that then says nothing is too slow', async () => {
    execute = (request) => request.resume()
    const answer = await upload(300, steadily())
    expect(answer).toMatchObject({ status: 504, body: { error: 'worker_timeout' } })
    expect(await outcomeOf(answer.headers['x-decision-id'] as string)).toMatchObject({ outcome: 'timeout' })
  })

  test("is the worker's where the worker does not take what is sent", async () => {
    execute = () => undefined
    const answer = await exchange(
      await openTls(mesh, STREAMING),
      post(RAW, UPLOAD.repeat(4), 'X-Crank-Timeout-Ms: 300\r\n'),
    )
    expect(answer).toMatch(/^HTTP\/1\.1 504 /)
  })

  test('a caller that breaks its upload off is what ended the call', async () => {
    execute = (request) => request.resume()
    const before = (await mesh.audit()).length
    const socket = await openTls(mesh, STREAMING)
    const seen = worker.seen.length
    socket.write(post(RAW, 'xxx', '', 100))
    await until('the worker has the call', () => worker.seen.length > seen)
    socket.destroy()
    const outcome = await mesh.auditedAs(({ seq, event }) => seq > before && event === 'route_outcome')
    expect(outcome).toMatchObject({ outcome: 'caller_left', status: null })
  })
})
