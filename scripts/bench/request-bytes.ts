// The bytes of POST /route to invoke:hello_world, or another capability of that verb.
import { randomBytes } from 'node:crypto'

/** `key`: of idempotency. */
type Asked = { readonly key?: string; readonly capability?: string }

const FLAGS_SAMPLED = '01'

/** A request in the sampled trace `traceId`, with a parent span that its caller does not export. */
export function routeRequest(port: number, traceId: string, { key, capability = 'hello_world' }: Asked = {}): Buffer {
  // About 230 bytes: a small call makes the cost of the pipeline visible.
  const body = JSON.stringify({ verb: 'invoke', capability, payload: { message: 'x'.repeat(165) } })
  const head = [
    'POST /route HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    `traceparent: 00-${traceId}-${randomBytes(8).toString('hex')}-${FLAGS_SAMPLED}`,
    ...(key === undefined ? [] : [`idempotency-key: ${key}`]),
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/** The n-th trace id of a load; `run`, 16 hex digits, identifies the load. */
export function traceIdAt(run: string, n: number): string {
  return run + n.toString(16).padStart(16, '0')
}
