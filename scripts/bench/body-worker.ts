// The worker of the rows with large bodies: takes a body of any size, and answers a small one with 1 MiB. A process of the
// bench.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { loadConfig } from '../../src/platform/env.ts'
import { reportReady } from './child.ts'
import { FileEnv } from './jobs.ts'
import { BODY_BYTES } from './body-requests.ts'

const LARGE = Buffer.alloc(BODY_BYTES, 'x')
const SMALL = Buffer.from('{}')

const config = loadConfig(FileEnv, { env: process.env })
const server = createServer(
  {
    cert: readFileSync(config.CRANK_TLS_CERT),
    key: readFileSync(config.CRANK_TLS_KEY),
    ca: readFileSync(config.CRANK_TLS_BUNDLE),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    keepAliveTimeout: 600_000,
  },
  answer,
)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
reportReady((server.address() as AddressInfo).port)

function answer(request: IncomingMessage, response: ServerResponse): void {
  let size = 0
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
  })
  request.on('end', () => {
    // The small request for a large answer; GET /health has no body.
    const body = size > 0 && size < BODY_BYTES ? LARGE : SMALL
    response.writeHead(200, ['content-type', 'application/octet-stream', 'content-length', String(body.length)])
    response.end(body)
  })
}
