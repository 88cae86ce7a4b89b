// The minimal cost of a body: a bare mTLS server that only reads and parses it. A process of the bench.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
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
    keepAliveTimeout: 600_000,
  },
  (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      response.writeHead(200, ['content-length', '0'])
      response.end(isJson(Buffer.concat(chunks)) ? undefined : '')
    })
  },
)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
reportReady((server.address() as AddressInfo).port)

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'))
    return true
  } catch {
    return false
  }
}
