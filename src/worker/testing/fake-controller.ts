// A controller as a worker sees it: real mTLS, regular registrations, and a script that answers /route.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Pool } from 'undici'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts'
import { watchCredentials, type CredentialFiles, type CredentialSource } from '../../platform/tls/credentials.ts'
import { createLogger } from '../../platform/logger.ts'
import { createPeerVerifier } from '../../platform/svid/verify.ts'
import { createPinnedConnector, serverTlsOptions } from '../../platform/tls/tls.ts'

export type Received = { path: string; headers: IncomingMessage['headers']; body: unknown; atMs: number }
export type Script = (received: Received, response: ServerResponse) => void

export type FakeController = {
  url: string
  source: CredentialSource
  received: Received[]
  /** Replaces the answer to every path with this prefix; undefined restores the regular answer. */
  script: (path: string, answer: Script | undefined) => void
  /** A connection pool to a worker that presents the controller's certificate. */
  poolTo: (origin: string, expected: string) => Pool
  close: () => Promise<void>
}

export function answerJson(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** `heartbeatMs`: the heartbeat interval in the answer to a registration. */
export async function startFakeController(
  files: CredentialFiles,
  heartbeatMs = 20,
  { port: wanted = 0, host = '127.0.0.1' }: { port?: number; host?: string } = {},
): Promise<FakeController> {
  const source = await watchCredentials(files, { now: Date.now, log: silent })
  const scripts = new Map<string, Script>()
  const received: Received[] = []
  const pools: Pool[] = []
  let leases = 0
  const server = createServer(serverTlsOptions(source.current(), { refuseUnverified: true }), (request, response) => {
    void handle(request, response)
  })
  server.listen(wanted, host)
  await once(server, 'listening')

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    const call = { path, headers: request.headers, body: parsed(await text(request)), atMs: Date.now() }
    received.push(call)
    const script = scripts.get(path) ?? [...scripts].find(([start]) => path.startsWith(start))?.[1]
    if (script !== undefined) script(call, response)
    else byTheBook(call, response)
  }

  function byTheBook({ path, body }: Received, response: ServerResponse): void {
    const { worker_id, capabilities = [] } = (body ?? {}) as { worker_id?: string; capabilities?: unknown[] }
    const registered = { worker_id, capabilities_registered: capabilities.length, lease: `lease-${++leases}` }
    const answers: Record<string, unknown> = {
      '/register': { status: 'registered', ...registered, heartbeat_interval_ms: heartbeatMs },
      '/heartbeat': { status: 'acknowledged', timestamp: new Date().toISOString() },
      '/deregister': { status: 'deregistered' },
      '/capabilities?limit=1': { capabilities: [] },
    }
    answerJson(response, 200, answers[path])
  }

  return {
    url: `https://${host}:${(server.address() as AddressInfo).port}`,
    source,
    received,
    script(path, answer) {
      if (answer === undefined) scripts.delete(path)
      else scripts.set(path, answer)
    },
    poolTo(origin, expected) {
      const pool = new Pool(origin, { connect: pinned(source, parseSpiffeId(expected)) })
      pools.push(pool)
      return pool
    },
    async close() {
      await Promise.all(pools.map((pool) => pool.destroy()))
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
      source.close()
    },
  }
}

/** Undefined for a request without a body. */
function parsed(body: string): unknown {
  return body === '' ? undefined : (JSON.parse(body) as unknown)
}

const silent = createLogger({ level: 'silent', service: 'test' })

function pinned(source: CredentialSource, expected: SpiffeId) {
  return createPinnedConnector({ source, verifier: createPeerVerifier({ now: Date.now }), expected })
}
