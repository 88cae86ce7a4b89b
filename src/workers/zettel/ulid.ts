// ULIDs: sortable by time, and in order of creation even within one millisecond. https://github.com/ulid/spec
import { randomBytes } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const TIME_DIGITS = 10
const RANDOM_DIGITS = 16
const RANDOM_BYTES = 10
const RANDOM_END = 1n << 80n
const MAX_MS = 2 ** 48 - 1

export type Ulids = () => string

/** `now`: milliseconds since 1970; a clock that goes back is ignored. `random`: returns that many random bytes. */
export function createUlids({
  now,
  random = randomBytes,
}: {
  now: () => number
  random?: (size: number) => Uint8Array
}): Ulids {
  let lastMs = -1
  let tail = 0n
  return () => {
    const ms = Math.min(MAX_MS, Math.max(0, Math.floor(now())))
    if (ms > lastMs) begin(ms)
    else if (tail + 1n < RANDOM_END) tail += 1n
    // The 80 bits are used up within a millisecond: the next millisecond keeps the order.
    else begin(lastMs + 1)
    return digits(BigInt(lastMs), TIME_DIGITS) + digits(tail, RANDOM_DIGITS)
  }

  function begin(ms: number): void {
    lastMs = ms
    tail = BigInt(`0x${Buffer.from(random(RANDOM_BYTES)).toString('hex')}`)
  }
}

function digits(value: bigint, count: number): string {
  let text = ''
  for (let rest = value; text.length < count; rest >>= 5n) text = ALPHABET.charAt(Number(rest & 31n)) + text
  return text
}
