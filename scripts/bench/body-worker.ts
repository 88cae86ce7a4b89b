// The worker of the rows with large bodies: takes a body of any size, and answers a small one with 1 MiB. A process of the
// bench.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { loadConfig } from '../../src/platform/env.ts'
import { BODY_BYTES } from './body-requests.ts'
import { FileEnv } from './identity.ts'
import { serveInMesh } from './mesh-server.ts'

const LARGE = Buffer.alloc(BODY_BYTES, 'x')
const SMALL = Buffer.from('{}')

await serveInMesh(loadConfig(FileEnv, { env: process.env }), answer)

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
