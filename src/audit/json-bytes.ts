// Checks that bytes are JSON without parsing them: for `verify`, which reads millions of records and needs few of their members.

const PLAIN = 1
/** The bytes that a string may have as they are: printable ASCII but the quote and the backslash. */
const CLASS = Uint8Array.from({ length: 256 }, (_, c) =>
  c >= 0x20 && c <= 0x7e && c !== 0x22 && c !== 0x5c ? PLAIN : 0,
)
const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a]
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [0x7b, 0x7d, 0x5b, 0x5d]
const ESCAPES = new Set(Buffer.from('"\\/bfnrt', 'latin1'))
const [NULL, TRUE, FALSE] = [Buffer.from('null'), Buffer.from('true'), Buffer.from('false')]
/** Far deeper than a record of ours. */
const MAX_DEPTH = 64
const NONE = -1

/**
 * Whether `bytes` from `start` to `end` are one JSON object of printable ASCII, with nothing between its tokens, in which each
 * member named in `once` occurs at most once. Stricter than JSON: false says only that somebody else has to look.
 */
export function isCompactObject(bytes: Buffer, start: number, end: number, once: readonly Buffer[]): boolean {
  const closers: number[] = []
  const seen = once.map(() => 0)
  let at = start
  for (;;) {
    // A value begins at `at`.
    const opener = bytes[at]
    const closer = opener === OPEN_OBJECT ? CLOSE_OBJECT : opener === OPEN_ARRAY ? CLOSE_ARRAY : NONE
    if (closer !== NONE && bytes[at + 1] !== closer) {
      if (closers.push(closer) > MAX_DEPTH) return false
      at++
    } else {
      at = closer === NONE ? scalarEnd(bytes, at) : at + 2
      if (at === NONE) return false
      while (closers.length > 0 && bytes[at] === closers.at(-1)) {
        closers.pop()
        at++
      }
      if (closers.length === 0) return at === end && bytes[start] === OPEN_OBJECT
      if (bytes[at++] !== COMMA) return false
    }
    if (closers.at(-1) === CLOSE_ARRAY) continue
    const key = at
    at = bytes[at] === QUOTE ? stringEnd(bytes, at) : NONE
    if (at === NONE || bytes[at++] !== COLON) return false
    if (closers.length === 1 && isRepeated(bytes, key + 1, at - 2, once, seen)) return false
  }
}

/** Counts the member whose name is from `from` to `to`, if it is one of `once`. */
function isRepeated(bytes: Buffer, from: number, to: number, once: readonly Buffer[], seen: number[]): boolean {
  for (let which = 0; which < once.length; which++) {
    const name = once[which]
    if (name?.length !== to - from || !isAt(bytes, from, name)) continue
    if (seen[which] === 1) return true
    seen[which] = 1
  }
  return false
}

function scalarEnd(bytes: Buffer, at: number): number {
  switch (bytes[at]) {
    case QUOTE:
      return stringEnd(bytes, at)
    case 0x6e:
      return isAt(bytes, at, NULL) ? at + NULL.length : NONE
    case 0x74:
      return isAt(bytes, at, TRUE) ? at + TRUE.length : NONE
    case 0x66:
      return isAt(bytes, at, FALSE) ? at + FALSE.length : NONE
    default:
      return numberEnd(bytes, at)
  }
}

/** The end of a string, behind its quote. A line feed ends every line, and no string has one: this never leaves the line. */
function stringEnd(bytes: Buffer, from: number): number {
  for (let at = from + 1; ;) {
    while (CLASS[bytes[at] ?? 0] === PLAIN) at++
    if (bytes[at] === QUOTE) return at + 1
    if (bytes[at] !== BACKSLASH) return NONE
    const escape = bytes[at + 1] ?? 0
    if (ESCAPES.has(escape)) at += 2
    else if (escape === 0x75 && isHex(bytes, at + 2, at + 6)) at += 6
    else return NONE
  }
}

function isHex(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const c = bytes[at] ?? 0
    if (!isDigit(c) && !((c | 0x20) >= 0x61 && (c | 0x20) <= 0x66)) return false
  }
  return true
}

function numberEnd(bytes: Buffer, from: number): number {
  const start = bytes[from] === 0x2d ? from + 1 : from
  let at = digitsEnd(bytes, start)
  if (at === start || (bytes[start] === 0x30 && at > start + 1)) return NONE
  if (bytes[at] === 0x2e) {
    const fraction = at + 1
    at = digitsEnd(bytes, fraction)
    if (at === fraction) return NONE
  }
  if (((bytes[at] ?? 0) | 0x20) === 0x65) {
    const sign = bytes[at + 1]
    const exponent = sign === 0x2b || sign === 0x2d ? at + 2 : at + 1
    at = digitsEnd(bytes, exponent)
    if (at === exponent) return NONE
  }
  return at
}

function digitsEnd(bytes: Buffer, from: number): number {
  let at = from
  while (isDigit(bytes[at] ?? 0)) at++
  return at
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39
}

/** Whether `what` stands at `at`. For a few bytes this is faster than `Buffer.compare`. */
export function isAt(bytes: Buffer, at: number, what: Buffer): boolean {
  for (let offset = 0; offset < what.length; offset++) if (bytes[at + offset] !== what[offset]) return false
  return true
}
