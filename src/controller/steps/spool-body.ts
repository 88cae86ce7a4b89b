// The whole body of a call with an idempotency key: it is hashed before the call goes on, and it can be sent again.
import { AppError } from '../../core/errors.ts'
import type { RouteCall } from '../call.ts'
import type { Holding } from '../idempotency/held-bytes.ts'

/** For a body, and for an answer that is stored. */
export const MAX_KEPT_BYTES = 1024 * 1024

/** @throws {AppError} `payload_too_large`; `overloaded`: see held-bytes.ts; and what the body itself throws */
export async function spoolBody({ body, contentLength }: RouteCall, holding: Holding): Promise<Buffer> {
  if ((contentLength ?? 0) > MAX_KEPT_BYTES) throw tooLarge()
  if (Buffer.isBuffer(body)) {
    take(body.length, body.length, holding)
    return body
  }
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of body) {
    bytes += part.length
    take(part.length, bytes, holding)
    parts.push(part)
  }
  return Buffer.concat(parts, bytes)
}

function take(more: number, bytes: number, holding: Holding): void {
  if (bytes > MAX_KEPT_BYTES) throw tooLarge()
  if (holding.add(more)) return
  throw new AppError('overloaded', 'the calls with an idempotency key hold too many bytes in memory; try again')
}

function tooLarge(): AppError {
  const limit = 'a call with an idempotency key may have a body of at most 1 MiB'
  return new AppError('payload_too_large', `${limit}; send less, or send it without a key`)
}
