// The bytes of POST /route from the streaming worker to invoke:hello_world.
import { randomBytes } from 'node:crypto'

// About 230 bytes: a small call makes the cost of the pipeline visible.
const BODY = JSON.stringify({ verb: 'invoke', capability: 'hello_world', payload: { message: 'x'.repeat(165) } })
const FLAGS_SAMPLED = '01'

/** A request in the sampled trace `traceId`, with a parent span that its caller does not export; `key`: of idempotency. */
export function routeRequest(port: number, traceId: string, key?: string): Buffer {
  const head = [
    'POST /route HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'content-type: application/json',
    `content-length: ${BODY.length}`,
    `traceparent: 00-${traceId}-${randomBytes(8).toString('hex')}-${FLAGS_SAMPLED}`,
    ...(key === undefined ? [] : [`idempotency-key: ${key}`]),
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${BODY}`)
}

/** The n-th trace id of a load; `run`, 16 hex digits, identifies the load. */
export function traceIdAt(run: string, n: number): string {
  return run + n.toString(16).padStart(16, '0')
}
