// The worker of every row: a bare mTLS echo, so that the controller dominates the measurement. A process of the bench.
import type { IncomingMessage, ServerResponse } from 'node:http'
import Type from 'typebox'
import { loadConfig } from '../../src/platform/env.ts'
import { FileEnv } from './identity.ts'
import { serveInMesh } from './mesh-server.ts'

const WorkerEnv = Type.Object({ ...FileEnv.properties, BENCH_HOST: Type.String({ default: '127.0.0.1' }) })
const config = loadConfig(WorkerEnv, { env: process.env })
await serveInMesh(config, echo, config.BENCH_HOST)

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
