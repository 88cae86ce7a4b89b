// Floods of strangers and of malformed requests on real TLS, and more connections of one identity than its part. What counts is
// the order of the answers, since the clients run in the process of the controller.
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'

const STRANGERS = 60
const MALFORMED = 100
const CALL = { verb: 'invoke', capability: 'hello_world', payload: {} }
const GET = 'GET /workers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(mesh, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  expect((await worker.register()).status).toBe(200)
  // Minted here, so that it costs the tests no time.
  await mesh.identity(STREAMING)
})
/** Only where there are calls do handshakes have to wait. */
beforeEach(async () => {
  expect((await mesh.route(HELLO, CALL)).status).toBe(200)
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

async function connectionRefusals(of: Mesh, reason: string): Promise<number> {
  const series = `controller_connections_refused_total{reason="${reason}"} `
  const line = (await of.admin('/metrics')).text.split('\n').find((one) => one.startsWith(series))
  return Number(line?.slice(series.length) ?? Number.NaN)
}

/** Opens a connection without waiting for it, and sends a request on it. */
async function knock(to: Mesh, identity: string | undefined, localAddress = '127.0.0.1'): Promise<string> {
  const own = identity === undefined ? undefined : await to.identity(identity)
  const socket = connect({
    socket: connectTcp({ host: '127.0.0.1', port: to.controller.port, localAddress }),
    ca: to.ca.certPem,
    ...(own && { cert: own.chainPem, key: own.keyPem }),
  })
  socket.on('error', () => undefined)
  // A connection that is dropped before its handshake has no answer.
  return await exchange(socket, GET).catch(() => '')
}

describe('a flood of strangers', () => {
  test('delays a new connection from another address by less than its own', async () => {
    let refused = 0
    const strangers = Array.from({ length: STRANGERS }, async () => {
      const answer = await knock(mesh, undefined)
      refused += 1
      return answer
    })
    const guest = await knock(mesh, STREAMING, '127.0.0.2')
    expect(guest).toMatch(/^HTTP\/1\.1 200 /)
    expect(refused).toBeLessThan(STRANGERS / 2)
    const answers = await Promise.all(strangers)
    expect(answers.every((answer) => answer.includes('client_certificate_required'))).toBe(true)
  })

  test('lets a call on an open connection pass', async () => {
    const open = await openTls(mesh, HELLO)
    let refused = 0
    const strangers = Array.from({ length: STRANGERS }, () => knock(mesh, undefined).then(() => (refused += 1)))
    expect(await exchange(open, requestOf(JSON.stringify(CALL)))).toMatch(/^HTTP\/1\.1 200 /)
    expect(refused).toBeLessThan(STRANGERS / 2)
    await Promise.all(strangers)
  })
})

test('a flood of malformed requests lets calls of others pass, and each of them is answered', async () => {
  const sockets = await Promise.all(Array.from({ length: MALFORMED }, () => openTls(mesh, STREAMING)))
  let refused = 0
  const refusals = sockets.map(async (socket) => {
    socket.write(requestOf('{"verb":"invoke","capabilities":1}'))
    const answer = await readAll(socket)
    refused += 1
    return answer
  })
  expect((await mesh.route(HELLO, CALL)).status).toBe(200)
  expect(refused).toBeLessThan(MALFORMED / 2)
  const answers = await Promise.all(refusals)
  expect(answers.every((answer) => answer.startsWith('HTTP/1.1 400 '))).toBe(true)
})

function requestOf(body: string): string {
  const head = `POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`
  return `${head}Connection: close\r\n\r\n${body}`
}

async function readAll(socket: TLSSocket): Promise<string> {
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  await once(socket, 'close')
  return text
}

describe('a controller with few connections', () => {
  let small: Mesh
  beforeAll(async () => {
    small = await startMesh({ env: { CRANK_MAX_CONNECTIONS: '40' } })
  })
  afterAll(() => small.close())

  test('gives half of them to one identity, and the others to others', async () => {
    const kept = 'GET /workers HTTP/1.1\r\nHost: a\r\n\r\n'
    const held: TLSSocket[] = []
    for (let n = 0; n < 20; n++) {
      const socket = await openTls(small, STREAMING)
      socket.write(kept)
      const [answer] = (await once(socket, 'data')) as [Buffer]
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /)
      held.push(socket)
    }
    // Two requests: neither passes, and the connection ends.
    const refused = await exchange(await openTls(small, STREAMING), kept + kept)
    expect(refused).toMatch(/^HTTP\/1\.1 503 /)
    expect(refused).toContain('"error":"overloaded"')
    expect(refused).not.toContain('200 OK')
    expect(await knock(small, HELLO)).toMatch(/^HTTP\/1\.1 200 /)
    expect(await connectionRefusals(small, 'identity_limit')).toBe(1)

    held.pop()!.destroy()
    await until('there is room again', async () => (await knock(small, STREAMING)).startsWith('HTTP/1.1 200 '))
    for (const socket of held) socket.destroy()
  })

  test('drops strangers beyond those that may wait for their handshake, and counts them', async () => {
    expect((await small.route(HELLO, CALL)).status).toBe(503)
    const answers = await Promise.all(Array.from({ length: 30 }, () => knock(small, undefined)))
    const answered = answers.filter((answer) => answer.includes('client_certificate_required')).length
    const dropped = await connectionRefusals(small, 'not_in_turn')
    expect(dropped).toBeGreaterThan(0)
    expect(answered + dropped).toBe(30)
  })
})
