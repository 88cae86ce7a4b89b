// Peers that fail inside the TLS handshake: they get no answer, but the audit log says that they were there.
import { once } from 'node:events'
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net'
import { connect, type ConnectionOptions } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { selfSigned } from '../fixtures/pki/ca.ts'
import { startMesh, type Mesh } from '../fixtures/mesh.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

let mesh: Mesh
beforeAll(async () => {
  mesh = await startMesh()
})
afterAll(() => mesh.close())

const port = (): number => mesh.controller.port
const recordOf = (kind: string): Promise<AuditLine> =>
  mesh.auditedAs((line) => line.event === 'handshake_refused' && line['error'] === kind)

/** However it ends. */
async function closed(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.on('error', () => undefined).resume()
    socket.once('close', () => resolve())
  })
}

async function write(bytes: Buffer): Promise<void> {
  const socket = connectTcp(port(), '127.0.0.1')
  socket.write(bytes)
  await closed(socket)
}

/** The first bytes of a TLS 1.3 client, to be sent by somebody who then does something else. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, minVersion: 'TLSv1.3' })
  client.on('error', () => undefined)
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

/** Answers the server's part of the handshake with `bytes`. */
async function answerWith(bytes: Buffer): Promise<void> {
  const socket = connectTcp(port(), '127.0.0.1')
  socket.once('data', () => socket.write(bytes))
  socket.write(await clientHello())
  await closed(socket)
}

async function shake(options: ConnectionOptions): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: port(), rejectUnauthorized: false, ...options })
  await closed(socket)
}

/** Fatal, unknown_ca. */
const ALERT = Buffer.from('15030300020230', 'hex')

describe('a handshake that fails', () => {
  test.each<[string, string, () => Promise<void>]>([
    ['protocol', 'with an older version of TLS', () => shake({ maxVersion: 'TLSv1.2' })],
    ['protocol', 'with HTTP/2 only', () => shake({ ALPNProtocols: ['h2'] })],
    ['alert', 'because the peer does not like our certificate', () => answerWith(ALERT)],
    ['timeout', 'because the peer says too little in 5 s', async () => write((await clientHello()).subarray(0, 10))],
    ['not_tls', 'because the bytes are plain HTTP', () => write(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'))],
  ])('is recorded as %s %s', async (kind, _why, run) => {
    await run()
    const { decision_id, requester_spiffe_id, remote_address, count } = await recordOf(kind)
    expect({ decision_id, requester_spiffe_id, remote_address, count }).toEqual({
      decision_id: null,
      requester_spiffe_id: undefined,
      remote_address: '127.0.0.1',
      count: 1,
    })
  })

  test('is recorded as certificate where unverified peers are refused in it (TLS_REFUSE_UNVERIFIED)', async () => {
    const own = await startMesh({ env: { TLS_REFUSE_UNVERIFIED: 'true' } })
    onTestFinished(own.close)
    const { chainPem: cert, keyPem: key } = await selfSigned({ uri: 'spiffe://crank.local/worker/a' })
    await closed(connect({ host: '127.0.0.1', port: own.controller.port, rejectUnauthorized: false, cert, key }))
    expect(await own.auditedAs((line) => line.event === 'handshake_refused')).toMatchObject({
      error: 'certificate',
      remote_address: '127.0.0.1',
      count: 1,
    })
  })

  test('is no other kind of bytes where the peer only sends its messages in the wrong order', async () => {
    const seen = (await mesh.audit()).length
    await write(ALERT)
    const later = async (): Promise<unknown[]> =>
      (await mesh.audit())
        .slice(seen)
        .filter((line) => line.event === 'handshake_refused')
        .map((line): unknown => line['error'])
    await expect.poll(later).toEqual(['protocol'])
  })

  test('is counted', async () => {
    const { text } = await mesh.admin('/metrics')
    const [, count] = /controller_connections_refused_total\{reason="tls"\} (\d+)/.exec(text) ?? []
    expect(Number(count)).toBeGreaterThanOrEqual(3)
  })

  test('a flood of them stays within the budget of strangers, and none is lost from the count', async () => {
    const before = (await mesh.audit()).length
    await Promise.all(Array.from({ length: 120 }, () => shake({ maxVersion: 'TLSv1.2' })))
    const counted = async (): Promise<number> =>
      (await mesh.audit())
        .slice(before)
        .filter((line) => line.event === 'handshake_refused')
        .reduce((sum, line) => sum + Number(line['count']), 0)
    await expect.poll(counted).toBe(120)
  })
})

test('who only opens the port and leaves is not recorded', async () => {
  const before = (await mesh.audit()).filter((line) => line.event === 'handshake_refused').length
  const socket = connectTcp(port(), '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
  await once(socket, 'close')
  await shake({ maxVersion: 'TLSv1.2' })
  await expect
    .poll(async () => (await mesh.audit()).filter((line) => line.event === 'handshake_refused').length)
    .toBe(before + 1)
})
