// A worker that answers in bytes of the test's own: what no HTTP server would send, and closes when no HTTP server would.
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { HELLO, postJson, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { HELLO_SCHEMA } from './worker.ts'

/** `reset` ends the connection with an RST. */
export type Reply = (socket: TLSSocket, reset: () => void) => void

export type RawWorker = {
  readonly register: () => Promise<Answer>
  readonly close: () => Promise<void>
}

/** `execute` gets the connection for each call that was read whole; with `early`, once, with the body unread and the socket paused. */
export async function startRawWorker(mesh: Mesh, execute: Reply, { early = false } = {}): Promise<RawWorker> {
  const { chainPem: cert, keyPem: key } = await mesh.identity(HELLO)
  const open = new Set<TLSSocket>()
  const tcp = new Map<number | undefined, Socket>()
  const server = createServer({ cert, key, ca: mesh.ca.certPem, requestCert: true }, (socket) => {
    const raw = tcp.get(socket.remotePort)
    const reset = (): void => void raw?.resetAndDestroy()
    let received = ''
    const onData = (chunk: Buffer): void => {
      received += chunk.toString('latin1')
      const [head, body] = received.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(head ?? '')?.[1] ?? 0)
      if (body === undefined || (!early && body.length < length)) return
      const isProbe = received.startsWith('GET /health')
      received = ''
      if (isProbe) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
      else {
        if (early) socket.off('data', onData).pause()
        execute(socket, reset)
      }
    }
    open.add(socket.on('data', onData).on('error', () => undefined))
    socket.once('close', () => open.delete(socket))
  })
  server.on('connection', (raw: Socket) => tcp.set(raw.remotePort, raw))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const worker = {
    worker_id: 'worker-hello-world',
    worker_url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    capabilities: [HELLO_SCHEMA],
  }
  return {
    register: () => mesh.request(HELLO, postJson('/register', worker)),
    close: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
