// Callers that leave early, send slowly or read slowly: they cost nobody else anything, and the record names them.
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFakePdp, type FakePdp } from '../fakes/pdp.ts'
import { startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { honestPdp } from '../fixtures/pdp-honest.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'
import { rawBody } from '../../src/controller/routes/raw-body.ts'
import type { IncomingMessage } from 'node:http'

const CALL = '{"verb":"invoke","capability":"hello_world"}'
const HEAD = 'Host: a\r\nContent-Type: application/json\r\n'

describe('a caller', () => {
  let pdp: FakePdp
  let mesh: Mesh
  let worker: FakeWorker
  let execute: Execute
  beforeAll(async () => {
    pdp = await startFakePdp(honestPdp)
    mesh = await startMesh({ env: { OPA_URL: pdp.origin, OPA_TIMEOUT_MS: '20000' } })
    worker = await startFakeWorker(mesh, (request, response, body) => {
      execute(request, response, body)
    })
    await worker.register()
  })
  afterAll(async () => {
    await worker.close()
    await mesh.close()
    await pdp.close()
  })

  test('that left while the policy was asked has no work done for it, and that is its outcome', async () => {
    execute = (_request, response) => response.end('{}')
    const before = worker.seen.length
    let asked = 0
    const decided = Promise.withResolvers<undefined>()
    pdp.answer(async (request) => {
      if (honestPdp.isProbe(request)) return honestPdp(request)
      asked++
      await decided.promise
      return honestPdp(request)
    })
    const leaving = new AbortController()
    const pool = await mesh.client(STREAMING)
    // As many as are asked about at once.
    const calls = Array.from({ length: 2 }, () =>
      pool.request({
        method: 'POST',
        path: '/route',
        headers: { 'content-type': 'application/json' },
        body: CALL,
        signal: leaving.signal,
      }),
    )
    await until('the policy was asked', () => asked === 2)
    leaving.abort()
    await Promise.allSettled(calls)
    // Only when the controller, too, knows that they left may the policy answer.
    const unanswered = /^controller_requests_total\{route="\/route",status_class="none"\} 2$/m
    await until('the controller saw them leave', async () => unanswered.test((await mesh.admin('/metrics')).text))
    decided.resolve(undefined)
    const left = async () =>
      (await mesh.audit()).filter((line) => line.event === 'route_outcome' && line['outcome'] === 'caller_left')
    await until('each outcome is recorded', async () => (await left()).length === 2)
    for (const outcome of await left()) expect(outcome).toMatchObject({ attempts: 0, worker_id: null })
    expect(worker.seen).toHaveLength(before)
    pdp.answer(honestPdp)
  })

  test('that sends garbage behind a running call gets no second answer into the first', async () => {
    execute = (_request, response) => {
      response.writeHead(200, { 'content-length': '200' }).write('a'.repeat(100))
    }
    const socket = await openTls(mesh, STREAMING)
    let received = ''
    socket.setEncoding('latin1').on('data', (text: string) => (received += text))
    socket.write(`POST /route HTTP/1.1\r\n${HEAD}Content-Length: ${CALL.length}\r\n\r\n${CALL}`)
    await until('the answer began', () => received.includes('aaa'))
    socket.write('garbage\r\n\r\n')
    await once(socket, 'close')
    expect(received.match(/HTTP\/1\.1/g)).toHaveLength(1)
    expect(received).toMatch(/a{100}$/)
  })

  test('whose upload was answered early is not left with a connection that is stuck', async () => {
    const early = await startFakeWorker(mesh, (_request, response) => response.writeHead(413).end('no'), {
      streaming: true,
    })
    await early.register()
    const socket = await openTls(mesh, STREAMING)
    const answer = await exchange(
      socket,
      'POST /route/invoke/hello_world HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\nxxx',
      5000,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer.toLowerCase()).toContain('connection: close')
    // While the newer instance is there, it keeps the worker id.
    await early.close()
    expect((await worker.register()).status).toBe(200)
  })

  test('gets its answer within its own time when a worker drips a fault', async () => {
    execute = (_request, response) => {
      response.writeHead(500)
      const drip = setInterval(() => response.write('x'), 20)
      response.once('close', () => {
        clearInterval(drip)
      })
    }
    const answer = await mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', timeout_ms: 500 })
    expect(answer).toMatchObject({ status: 504, body: { error: 'worker_timeout' } })
  })
})

describe('the body of the raw form', () => {
  const asRequest = (stream: PassThrough) => stream as unknown as IncomingMessage

  test('ends with request_timeout when the caller stops sending', async () => {
    const stream = new PassThrough()
    stream.write('part')
    const parts = rawBody(asRequest(stream), 50)[Symbol.asyncIterator]()
    expect(String((await parts.next()).value)).toBe('part')
    await expect(parts.next()).rejects.toMatchObject({ code: 'request_timeout' })
  })

  test('does not count the time that the worker takes', async () => {
    const stream = new PassThrough()
    stream.write('one')
    const parts = rawBody(asRequest(stream), 50)[Symbol.asyncIterator]()
    expect(String((await parts.next()).value)).toBe('one')
    await new Promise((resolve) => setTimeout(resolve, 150))
    stream.end('two')
    expect(String((await parts.next()).value)).toBe('two')
    expect((await parts.next()).done).toBe(true)
  })
})
