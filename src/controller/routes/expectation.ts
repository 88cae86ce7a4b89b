// `Expect: 100-continue`: the caller waits with its body until it gets 100, which we send when the body is first read: for
// the raw form after the decision is durable, for the JSON form after the gate and the limits. A refusal never sends it.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

const waiting = new WeakMap<IncomingMessage, ServerResponse>()

/** Keeps Node from sending 100 before the caller is identified. */
export function holdContinue(server: Server): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    waiting.set(request, response)
    server.emit('request', request, response)
  })
}

/** Sends 100 if the caller waits for it. */
export function sayContinue(request: IncomingMessage): void {
  const response = waiting.get(request)
  waiting.delete(request)
  if (response?.headersSent === false && !response.destroyed) response.writeContinue()
}
