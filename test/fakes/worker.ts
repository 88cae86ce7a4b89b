// A worker whose faults are given by the test: a bare mTLS server that answers /health and hands /execute to a function.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { CapabilitySchema } from '../../src/core/wire.ts'
import { HELLO, postJson, type Answer, type Mesh } from '../fixtures/mesh.ts'

export type FakeWorker = {
  readonly port: number
  readonly url: string
  readonly server: Server
  /** Requests to /execute so far, with their bodies when the handler read them. */
  readonly seen: { headers: IncomingMessage['headers']; body: string }[]
  readonly register: (options?: {
    workerId?: string
    capabilities?: CapabilitySchema[]
    url?: string
    labels?: Record<string, string>
    weight?: number
  }) => Promise<Answer>
  /** The next `count` requests to /health get no answer. */
  readonly silentProbes: (count: number) => void
  readonly close: () => Promise<void>
}

export type Execute = (request: IncomingMessage, response: ServerResponse, body: string) => void

export const HELLO_SCHEMA: CapabilitySchema = {
  verb: 'invoke',
  name: 'hello_world',
  version: '1.0.0',
  input_schema: { type: 'object' },
  output_schema: { type: 'object' },
  error_codes: [{ code: 'OUT_OF_PAPER', description: 'no paper', retryable: true }],
}

/**
 * Starts a fake worker of `identity` (hello-world by default). `shows` presents another certificate.
 * With `streaming` the handler gets the request unread. `workerId` is what its health says.
 */
export async function startFakeWorker(
  mesh: Pick<Mesh, 'identity' | 'ca' | 'request'>,
  execute: Execute,
  {
    identity = HELLO,
    shows = identity,
    streaming = false,
    port: wanted = 0,
    workerId: named,
  }: { identity?: string; shows?: string; streaming?: boolean; port?: number; workerId?: string } = {},
): Promise<FakeWorker> {
  const { chainPem: cert, keyPem: key } = await mesh.identity(shows)
  const seen: FakeWorker['seen'] = []
  let silent = 0
  const server = createServer(
    { cert, key, ca: mesh.ca.certPem, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
    (request, response) => {
      if (request.url === '/health') {
        if (silent-- > 0) return
        response.end(JSON.stringify({ worker_id: named }))
        return
      }
      const note = { headers: request.headers, body: '' }
      seen.push(note)
      if (streaming) {
        execute(request, response, '')
        return
      }
      request.setEncoding('utf8').on('data', (chunk: string) => (note.body += chunk))
      request.on('end', () => {
        execute(request, response, note.body)
      })
    },
  )
  server.listen(wanted, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const own = `https://127.0.0.1:${port}`
  return {
    port,
    url: own,
    server,
    seen,
    register: ({
      workerId = `worker-${identity.split('/')[1] ?? ''}`,
      capabilities = [HELLO_SCHEMA],
      url = own,
      ...placing
    } = {}) =>
      mesh.request(identity, postJson('/register', { worker_id: workerId, worker_url: url, capabilities, ...placing })),
    silentProbes(count) {
      silent = count
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Answers every call with `{"greeting":"hi"}`. */
export const greets: Execute = (_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end('{"greeting":"hi"}')
}
