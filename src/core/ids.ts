// On the path of every call. Identifiers. Time and randomness are inputs, so that tests can fix both.
import { randomFillSync } from 'node:crypto'

const POOL_BYTES = 4096
const pool = Buffer.alloc(POOL_BYTES)
let used = POOL_BYTES

/** `length` (at most 64) random bytes as hex, from a pool that the system's generator refills. */
export function randomHex(length: number): string {
  if (used + length > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  const hex = pool.toString('hex', used, used + length)
  used += length
  return hex
}

/** A UUIDv7 (RFC 9562, 5.7): sorts by the millisecond in which it was made. */
export function uuidv7(nowMs: number): string {
  const time = nowMs.toString(16).padStart(12, '0')
  const random = randomHex(10)
  const variant = '89ab'[Number.parseInt(random.charAt(3), 16) & 3] ?? '8'
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`
}
