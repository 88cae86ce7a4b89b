// What becomes of connections on which no request has come: a pool of a client may open its connections ahead.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createUnparsed } from '../../../src/controller/edge/unparsed.ts'
import { createConnectionsHeld } from '../../../src/controller/identity/connections-held.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import { serverTlsOptions } from '../../../src/platform/tls/tls.ts'
import type { Issued } from '../../fixtures/pki/ca.ts'
import { credentialsFor } from '../../fixtures/pki/credential-files.ts'
import { createTestPki, GOOD_ID, type TestPki } from '../../fixtures/pki/defects.ts'
import { createLiveSource } from '../../fixtures/pki/live-source.ts'
import { connectTo } from '../../fixtures/pki/tls-peers.ts'

const HEADERS_MS = 200
/** The longest time between two looks at the headers timeout. */
const CHECK_MS = 20
const MAX_HELD = 3
const REQUEST = 'GET / HTTP/1.1\r\nhost: a\r\n'

let pki: TestPki
const disposables = new AsyncDisposableStack()
beforeAll(async () => {
  pki = await createTestPki()
})
afterAll(() => disposables.disposeAsync())

async function startServer({ unusedMs }: { unusedMs: number }) {
  const credentials = await credentialsFor(pki.td1, parseSpiffeId('spiffe://td1.test/controller'))
  const gate = {
    source: createLiveSource(credentials),
    verifier: createPeerVerifier({ now: Date.now }),
    now: Date.now,
  }
  const refusals: string[] = []
  const connections = createConnectionsHeld({
    max: MAX_HELD,
    onIdentified: () => undefined,
    onRefused: () => refusals.push('identity_limit'),
  })
  const unparsed = createUnparsed({
    gate,
    connections,
    unusedMs,
    metrics: { answered: () => undefined, connectionRefused: (why) => refusals.push(why) },
    now: Date.now,
    onRefused: (_refused, error) => refusals.push(error.code),
  })
  const server = createServer(
    { ...serverTlsOptions(credentials, { refuseUnverified: false }), connectionsCheckingInterval: CHECK_MS },
    (_request, response) => response.end('hello'),
  )
  server.headersTimeout = HEADERS_MS
  server.on('clientError', unparsed.onClientError)
  unparsed.watch(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  disposables.defer(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, refusals, unparsed }
}

/** An open connection, and all that arrives on it. */
async function open(port: number, issued: Issued | undefined) {
  const socket = connectTo(port, issued)
  let received = ''
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
  await once(socket, 'secureConnect')
  return { socket, received: () => received, closed: closing(socket) }
}

async function closing(socket: TLSSocket): Promise<void> {
  if (!socket.closed) await once(socket, 'close')
}

/** Resolves when the time for headers has been over for a connection that was opened later than all others. */
async function afterHeadersTimeout(port: number, issued: Issued): Promise<void> {
  const late = await open(port, issued)
  late.socket.write('GET / HTTP/1.1\r\n')
  await late.closed
  expect(late.received()).toMatch(/^HTTP\/1\.1 408 /)
}

/** Without the bytes that a closing peer leaves behind. */
function slow(refusals: readonly string[]): string[] {
  return refusals.filter((why) => why === 'too_slow' || why === 'request_timeout')
}

test('a verified peer that is idle gets no unasked answer, and its first request is answered', async () => {
  const { port, refusals } = await startServer({ unusedMs: 60_000 })
  const issued = await pki.td1.issue({ uri: GOOD_ID })
  const idle = await open(port, issued)
  await afterHeadersTimeout(port, issued)
  expect([idle.received(), idle.socket.closed]).toEqual(['', false])
  // That of the late one only.
  expect(slow(refusals)).toEqual(['too_slow', 'request_timeout'])
  idle.socket.write(`${REQUEST}\r\n`)
  await once(idle.socket, 'data')
  expect(idle.received()).toMatch(/^HTTP\/1\.1 200 /)
  idle.socket.destroy()
})

test('a peer that begins its headers late and does not end them gets 408 then', async () => {
  const { port, refusals } = await startServer({ unusedMs: 60_000 })
  const issued = await pki.td1.issue({ uri: GOOD_ID })
  const idle = await open(port, issued)
  await afterHeadersTimeout(port, issued)
  idle.socket.write(REQUEST)
  await idle.closed
  expect(idle.received()).toMatch(/^HTTP\/1\.1 408 /)
  expect(slow(refusals)).toEqual(['too_slow', 'request_timeout', 'too_slow', 'request_timeout'])
})

test('an idle connection ends without an answer when the rest of its time is over', async () => {
  const { port, refusals } = await startServer({ unusedMs: 100 })
  const idle = await open(port, await pki.td1.issue({ uri: GOOD_ID }))
  await idle.closed
  expect([idle.received(), refusals]).toEqual(['', []])
})

test('an unverified peer is told so when the time for headers is over', async () => {
  const { port, refusals } = await startServer({ unusedMs: 60_000 })
  const strangers = [
    await open(port, undefined),
    await open(port, await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' })),
  ]
  for (const { closed } of strangers) await closed
  for (const { received } of strangers) expect(received()).toMatch(/^HTTP\/1\.1 401 /)
  expect(refusals.toSorted()).toEqual([
    'client_certificate_required',
    'client_certificate_untrusted',
    'too_slow',
    'too_slow',
  ])
})

test('idle connections count for their identity, once', async () => {
  const { port, refusals } = await startServer({ unusedMs: 60_000 })
  const issued = await pki.td1.issue({ uri: GOOD_ID })
  const held = await Promise.all(Array.from({ length: MAX_HELD }, () => open(port, issued)))
  const late = await open(port, await pki.td1.issue({ uri: 'spiffe://td1.test/worker/other' }))
  await afterHeadersTimeout(port, issued)
  const more = await open(port, issued)
  await more.closed
  expect(more.received()).toMatch(/^HTTP\/1\.1 503 /)
  expect(refusals).toContain('identity_limit')
  expect([...held, late].map(({ socket }) => socket.closed)).toEqual([false, false, false, false])
  for (const { socket } of [...held, late]) socket.destroy()
})

test('at the end of a server idle connections end, those with bytes go on', async () => {
  const { port, unparsed } = await startServer({ unusedMs: 60_000 })
  const issued = await pki.td1.issue({ uri: GOOD_ID })
  const idle = await open(port, issued)
  const used = await open(port, issued)
  used.socket.write(`${REQUEST}\r\n`)
  await once(used.socket, 'data')
  unparsed.close()
  await idle.closed
  expect(idle.received()).toBe('')
  expect(used.socket.closed).toBe(false)
  used.socket.destroy()
})
