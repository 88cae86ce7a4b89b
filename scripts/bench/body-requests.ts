// The calls with large bodies, in the raw form: 1 MiB from the worker, or to it.

export const BODY_BYTES = 1_048_576
export const DIRECTIONS = ['down', 'up'] as const
export type Direction = (typeof DIRECTIONS)[number]

/** The bytes of one call. */
export function bodyRequest(port: number, direction: Direction): Buffer {
  const body = direction === 'up' ? Buffer.alloc(BODY_BYTES, 'x') : Buffer.from('x')
  const head = [
    'POST /route/invoke/hello_world HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'content-type: application/octet-stream',
    `content-length: ${body.length}`,
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
}
