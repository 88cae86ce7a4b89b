// `Expect: 100-continue`: the caller waits with its body until it is told to go on, which happens when the body is first read:
// of the raw form after the decision is durable, of the JSON form behind the gate and the limits. Refusals never say it.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

const waiting = new WeakMap<IncomingMessage, ServerResponse>()

/** Keeps Node from telling callers to go on before anybody has looked at who they are. */
export function holdContinue(server: Server): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    waiting.set(request, response)
    server.emit('request', request, response)
  })
}

/** Tells the caller to go on, if it waits. */
export function sayContinue(request: IncomingMessage): void {
  const response = waiting.get(request)
  waiting.delete(request)
  if (response?.headersSent === false && !response.destroyed) response.writeContinue()
}
