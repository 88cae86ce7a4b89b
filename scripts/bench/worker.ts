// The worker of every row: a bare mTLS echo, so that the controller dominates the measurement. A process of the bench.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import Type from 'typebox'
import { loadConfig } from '../../src/platform/env.ts'
import { reportReady } from './child.ts'
import { FileEnv } from './jobs.ts'

const WorkerEnv = Type.Object({ ...FileEnv.properties, BENCH_HOST: Type.String({ default: '127.0.0.1' }) })
const config = loadConfig(WorkerEnv, { env: process.env })
const server = createServer(
  {
    cert: readFileSync(config.CRANK_TLS_CERT),
    key: readFileSync(config.CRANK_TLS_KEY),
    ca: readFileSync(config.CRANK_TLS_BUNDLE),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    // Idle rows keep their connections: opening one again costs a millisecond of CPU.
    keepAliveTimeout: 600_000,
  },
  echo,
)
server.listen(0, config.BENCH_HOST)
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
