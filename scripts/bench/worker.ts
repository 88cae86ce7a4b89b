// The worker behind every row: a bare mTLS echo, so that the controller is what is measured. A process of the bench.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { loadConfig } from '../../src/platform/env.ts'
import { reportReady } from './child.ts'
import { FileEnv } from './jobs.ts'

const config = loadConfig(FileEnv, { env: process.env })
const server = createServer(
  {
    cert: readFileSync(config.CRANK_TLS_CERT),
    key: readFileSync(config.CRANK_TLS_KEY),
    ca: readFileSync(config.CRANK_TLS_BUNDLE),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    // A row that waits for its turn keeps its connections: opening them anew costs a millisecond of CPU each.
    keepAliveTimeout: 600_000,
  },
  echo,
)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
reportReady((server.address() as AddressInfo).port)

function echo(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const [first = Buffer.from('{}'), ...more] = chunks
    const body = more.length === 0 ? first : Buffer.concat(chunks)
    response.writeHead(200, ['content-type', 'application/json', 'content-length', String(body.length)])
    response.end(body)
  })
}
