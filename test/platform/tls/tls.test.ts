// TLS settings and the pinned connector, on real sockets.
import { once } from 'node:events'
import { createServer as createHttpsServer, type Server } from 'node:https'
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { Client, Pool } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { Credentials } from '../../../src/platform/tls/credentials.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import { createPinnedConnector, serverTlsOptions } from '../../../src/platform/tls/tls.ts'
import type { Issued, TestCa } from '../../fixtures/pki/ca.ts'
import { credentialsFor } from '../../fixtures/pki/credential-files.ts'
import { createTestPki, LEAF_DEFECTS, type TestPki } from '../../fixtures/pki/defects.ts'
import { createLiveSource, type LiveSource } from '../../fixtures/pki/live-source.ts'
import { connectTo, startPeerServer, type PeerServer } from '../../fixtures/pki/tls-peers.ts'

const CONTROLLER = 'spiffe://td1.test/controller'
const WORKER = parseSpiffeId('spiffe://td1.test/worker/a')

let pki: TestPki
let controller: Credentials
let server: PeerServer
let good: Issued
const cleanup = new AsyncDisposableStack()
beforeAll(async () => {
  pki = await createTestPki()
  controller = await credentialsFor(pki.td1, CONTROLLER)
  server = cleanup.use(await startPeerServer(controller))
  good = await pki.td1.issue({ uri: WORKER })
})
afterAll(() => cleanup.disposeAsync())

async function failureOf(socket: TLSSocket | Socket): Promise<string> {
  const [error] = (await once(socket, 'error').catch((thrown: unknown) => [thrown])) as [NodeJS.ErrnoException]
  return error.code ?? error.message
}

describe('the server', () => {
  test('speaks TLS 1.3 and nothing older', async () => {
    const client = connectTo(server.port, good)
    await once(client, 'secureConnect')
    expect(client.getProtocol()).toBe('TLSv1.3')
    client.destroy()
    const old = connect({ host: '127.0.0.1', port: server.port, maxVersion: 'TLSv1.2', rejectUnauthorized: false })
    expect(await failureOf(old)).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  })

  test('speaks HTTP/1.1 and nothing else', async () => {
    const offer = (ALPNProtocols: string[]): TLSSocket =>
      connect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false, ALPNProtocols })
    const both = offer(['h2', 'http/1.1'])
    await once(both, 'secureConnect')
    expect(both.alpnProtocol).toBe('http/1.1')
    both.destroy()
    expect(await failureOf(offer(['h2']))).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')
  })

  test('never resumes a session', async () => {
    const sessions: Buffer[] = []
    const first = connectTo(server.port, good).on('session', (session) => sessions.push(session))
    const [[accepted]] = (await Promise.all([
      once(server.server, 'secureConnection'),
      once(first, 'secureConnect'),
    ])) as [[TLSSocket], unknown]
    accepted.end('x')
    await once(first.resume(), 'close')
    const session = sessions.at(-1) ?? first.getSession()
    const again = connect({
      host: '127.0.0.1',
      port: server.port,
      rejectUnauthorized: false,
      cert: good.chainPem,
      key: good.keyPem,
      ...(session === undefined ? {} : { session }),
    })
    await once(again, 'secureConnect')
    expect(again.isSessionReused()).toBe(false)
    again.destroy()
  })

  test('lets an unverified peer finish the handshake, so that it can learn why it is refused', async () => {
    const socket = await server.accept(await pki.impostor.issue({ uri: WORKER }))
    expect(socket.authorized).toBe(false)
  })

  test('ends the handshake of an unverified peer where that is configured', async () => {
    const strict = createHttpsServer(serverTlsOptions(controller, { refuseUnverified: true }))
    strict.listen(0, '127.0.0.1')
    await once(strict, 'listening')
    const { port } = strict.address() as AddressInfo
    let accepted = 0
    strict.on('secureConnection', () => (accepted += 1))
    for (const certificate of [undefined, await pki.impostor.issue({ uri: WORKER })]) {
      const refused = connectTo(port, certificate).resume()
      await new Promise((resolve) => refused.once('close', resolve))
    }
    expect(accepted).toBe(0)
    const client = connectTo(port, good)
    await once(strict, 'secureConnection')
    client.destroy()
    strict.close()
  })

  test('gives a handshake five seconds', () => {
    expect(serverTlsOptions(controller, { refuseUnverified: false }).handshakeTimeout).toBe(5000)
  })
})

type Worker = AsyncDisposable & {
  readonly origin: string
  readonly server: Server
  requests: () => number
  sockets: Set<TLSSocket>
}

/** An HTTPS server with any certificate at all: what is tested is whether we talk to it. */
async function startWorker(issued: Pick<Issued, 'chainPem' | 'keyPem'>, port = 0): Promise<Worker> {
  let requests = 0
  const sockets = new Set<TLSSocket>()
  const https = createHttpsServer(
    { cert: issued.chainPem, key: issued.keyPem, keepAliveTimeout: 60_000 },
    (_request, reply) => {
      requests += 1
      reply.end('hello')
    },
  )
  https.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket)).on('error', () => undefined)
  })
  https.listen(port, '127.0.0.1')
  await once(https, 'listening')
  return {
    origin: `https://127.0.0.1:${(https.address() as AddressInfo).port}`,
    server: https,
    sockets,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      https.closeAllConnections()
      https.close()
      await once(https, 'close')
    },
  }
}

type Caller = AsyncDisposable & { readonly source: LiveSource; readonly pool: Pool; call: () => Promise<string> }

function callerOf(origin: string, credentials = controller, now = Date.now): Caller {
  const source = createLiveSource(credentials)
  const connector = createPinnedConnector({ source, verifier: createPeerVerifier({ now }), expected: WORKER, now })
  const pool = new Pool(origin, { connect: connector, connections: 1, pipelining: 1 })
  return {
    source,
    pool,
    async call() {
      const { body } = await pool.request({ method: 'POST', path: '/', body: 'secret' })
      return await body.text()
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  }
}

describe('the pinned connector', () => {
  test('connects to the expected SPIFFE ID, by address, without a host name in the certificate', async () => {
    await using worker = await startWorker(good)
    await using caller = callerOf(worker.origin)
    expect(await caller.call()).toBe('hello')
    expect(await caller.call()).toBe('hello')
    expect(worker.sockets.size).toBe(1)
  })

  test('works below intermediates and by host name', async () => {
    await using worker = await startWorker(await (await pki.td1.intermediate()).issue({ uri: WORKER }))
    await using caller = callerOf(worker.origin.replace('127.0.0.1', 'localhost'))
    expect(await caller.call()).toBe('hello')
  })

  test('sends nothing to a peer with another SPIFFE ID, valid as it may be', async () => {
    await using worker = await startWorker(await pki.td1.issue({ uri: 'spiffe://td1.test/worker/ab' }))
    await using caller = callerOf(worker.origin)
    await expect(caller.call()).rejects.toMatchObject({ code: 'worker_failed', reasonCode: 'spiffe_id_unexpected' })
    expect(worker.requests()).toBe(0)
  })

  test('is not fooled by a DNS or IP SAN for the host', async () => {
    await using worker = await startWorker(await pki.td1.issue({ dns: ['localhost'], ips: ['127.0.0.1'] }))
    await using caller = callerOf(worker.origin)
    await expect(caller.call()).rejects.toMatchObject({ reasonCode: 'spiffe_id_not_found_in_certificate' })
  })

  test.each(Object.entries(LEAF_DEFECTS))('sends nothing to a peer with %s', async (_name, { issue }) => {
    await using worker = await startWorker(await issue(pki))
    await using caller = callerOf(worker.origin)
    await expect(caller.call()).rejects.toThrow()
    expect(worker.requests()).toBe(0)
  })

  test.each<[string, (pki: TestPki) => TestCa]>([
    ['of a CA nobody trusts', ({ impostor }) => impostor],
    ["of another trust domain's CA", ({ td2 }) => td2],
  ])('sends nothing to a peer %s', async (_name, caOf) => {
    await using worker = await startWorker(await caOf(pki).issue({ uri: WORKER }))
    await using caller = callerOf(worker.origin, await credentialsFor(pki.td1, CONTROLLER, pki.td2))
    await expect(caller.call()).rejects.toThrow()
    expect(worker.requests()).toBe(0)
  })

  test('verifies every new socket: another worker that takes over the address gets no byte', async () => {
    const first = await startWorker(good)
    const port = Number(new URL(first.origin).port)
    await using caller = callerOf(first.origin)
    expect(await caller.call()).toBe('hello')
    await first[Symbol.asyncDispose]()
    await using second = await startWorker(await pki.td1.issue({ uri: 'spiffe://td1.test/worker/b' }), port)
    await expect(caller.call()).rejects.toThrow()
    await expect(caller.call()).rejects.toMatchObject({ code: 'worker_failed' })
    expect(second.requests()).toBe(0)
  })

  test('ends open sockets at once when their CA is no longer trusted, and refuses new ones', async () => {
    await using worker = await startWorker(good)
    await using caller = callerOf(worker.origin)
    await caller.call()
    caller.source.set(await credentialsFor(pki.impostor, CONTROLLER))
    await expect.poll(() => worker.sockets.size).toBe(0)
    await expect(caller.call()).rejects.toThrow()
  })

  test('keeps open sockets over a change that still trusts them, and stops listening when the last one closes', async () => {
    await using worker = await startWorker(good)
    await using caller = callerOf(worker.origin)
    expect(caller.source.listeners()).toBe(0)
    await caller.call()
    const [socket] = worker.sockets
    caller.source.set(await credentialsFor(pki.td1, CONTROLLER))
    await caller.call()
    expect([...worker.sockets]).toEqual([socket])
    expect(caller.source.listeners()).toBe(1)
    await caller.pool.destroy()
    await expect.poll(() => caller.source.listeners()).toBe(0)
  })

  test('ends an open socket when the certificate of its peer expires', async () => {
    const endMs = Math.floor(Date.now() / 1000) * 1000 + 3_600_000
    await using worker = await startWorker(await pki.td1.issue({ uri: WORKER, notAfterMs: endMs }))
    // By this clock half a second is left, until the call is answered, however long that takes.
    let nowMs = endMs - 500
    await using caller = callerOf(worker.origin, controller, () => nowMs)
    expect(await caller.call()).toBe('hello')
    nowMs = endMs
    await expect.poll(() => worker.sockets.size).toBe(0)
    await expect(caller.call()).rejects.toMatchObject({ reasonCode: 'client_certificate_expired' })
  })

  test('shows its own certificate to the peer', async () => {
    await using peers = await startPeerServer(controller)
    const accepted = once(peers.server, 'secureConnection') as Promise<[TLSSocket]>
    const source = createLiveSource(controller)
    const expected = parseSpiffeId(CONTROLLER)
    const connector = createPinnedConnector({ source, verifier: createPeerVerifier({ now: Date.now }), expected })
    const client = new Client(`https://127.0.0.1:${peers.port}`, { connect: connector })
    const answer = client.request({ method: 'GET', path: '/' }).catch((error: unknown) => error)
    const [socket] = await accepted
    expect(createPeerVerifier({ now: Date.now }).verify(socket, controller).spiffeId).toBe(CONTROLLER)
    await client.destroy()
    await answer
  })

  test('gives up on a peer that accepts and says nothing', async () => {
    const silent = createTcpServer()
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const source = createLiveSource(controller)
    const verifier = createPeerVerifier({ now: Date.now })
    const connector = createPinnedConnector({ source, verifier, expected: WORKER, timeoutMs: 50 })
    const client = new Client(`https://127.0.0.1:${port}`, { connect: connector })
    await expect(client.request({ method: 'GET', path: '/' })).rejects.toThrow('no TLS connection within 50 ms')
    await client.destroy()
    silent.close()
  })

  test('says when nobody listens', async () => {
    const gone = createTcpServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as AddressInfo
    gone.close()
    await once(gone, 'close')
    await using caller = callerOf(`https://127.0.0.1:${port}`)
    await expect(caller.call()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('does not speak to plain HTTP', async () => {
    const plain = createTcpServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n')).listen(0, '127.0.0.1')
    await once(plain, 'listening')
    const { port } = plain.address() as AddressInfo
    await once(connectTcp(port, '127.0.0.1').resume(), 'close')
    await using caller = callerOf(`https://127.0.0.1:${port}`)
    await expect(caller.call()).rejects.toThrow()
    plain.close()
  })
})
