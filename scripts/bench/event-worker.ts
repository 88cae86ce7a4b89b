// The worker of the part `events`: a stream of as many events as the body asks for, each with the time at which it was written.
// A process of the bench.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { setInterval as every } from 'node:timers/promises'
import { loadConfig } from '../../src/platform/env.ts'
import { FileEnv } from './identity.ts'
import type { EventsAsked } from './jobs.ts'
import { serveInMesh } from './mesh-server.ts'

await serveInMesh(loadConfig(FileEnv, { env: process.env }), (request, response) => void answer(request, response))

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET') {
    response.end('{}')
    return
  }
  const { events, intervalMs } = (await json(request)) as EventsAsked
  response.writeHead(200, ['content-type', 'text/event-stream'])
  let sent = 0
  for await (const _ of every(intervalMs)) {
    // The system's monotonic clock, which all processes share.
    response.write(`data: ${process.hrtime.bigint()}\n\n`)
    sent += 1
    if (sent === events || response.destroyed) break
  }
  response.end()
}
