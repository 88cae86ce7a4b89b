// The minimal cost of a body: a bare mTLS server that only reads and parses it. A process of the bench.
import { loadConfig } from '../../src/platform/env.ts'
import { FileEnv } from './identity.ts'
import { serveInMesh } from './mesh-server.ts'

await serveInMesh(loadConfig(FileEnv, { env: process.env }), (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    response.writeHead(200, ['content-length', '0'])
    response.end(isJson(Buffer.concat(chunks)) ? undefined : '')
  })
})

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'))
    return true
  } catch {
    return false
  }
}
