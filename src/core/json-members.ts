// Where the members of a JSON object stand in its bytes, so that a payload can be forwarded byte for byte: parsing and
// writing it again would round 19-digit integers. The text must already have passed JSON.parse; only shape is read here.

/** Why a valid JSON text is still not accepted. */
export class JsonShapeError extends Error {
  override readonly name = 'JsonShapeError'
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/**
 * The value of each member of the top-level object, as a slice of `json` (no copy); empty when the top is not an object.
 * @throws {JsonShapeError} for more than `maxDepth` levels of nesting, or a name that stands twice at the top.
 */
export function jsonMembers(json: Buffer, maxDepth: number): Map<string, Buffer> {
  const members = new Map<string, Buffer>()
  const isObject = json[firstByte(json)] === OPEN_BRACE
  let depth = 0
  let key: string | undefined
  let valueFrom = 0
  const closeMember = (end: number): void => {
    if (key === undefined) return
    if (members.has(key)) throw new JsonShapeError(`the member "${key.slice(0, 64)}" stands twice`)
    members.set(key, trimmed(json, valueFrom, end))
    key = undefined
  }
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]
    if (byte === QUOTE) {
      const end = endOfString(json, at)
      if (depth === 1 && key === undefined && isObject) {
        key = JSON.parse(json.toString('utf8', at, end + 1)) as string
        valueFrom = json.indexOf(COLON, end) + 1
        at = valueFrom - 1
      } else at = end
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > maxDepth) throw new JsonShapeError(`nested deeper than ${maxDepth} levels`)
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (depth-- === 1) closeMember(at)
    } else if (byte === COMMA && depth === 1) closeMember(at)
  }
  return members
}

/** Index of the quote that closes the string opened at `start`: the first one with an even run of backslashes before it. */
function endOfString(json: Buffer, start: number): number {
  let end = json.indexOf(QUOTE, start + 1)
  while (backslashesBefore(json, end) % 2 === 1) end = json.indexOf(QUOTE, end + 1)
  return end
}

function backslashesBefore(json: Buffer, at: number): number {
  let count = 0
  while (json[at - 1 - count] === BACKSLASH) count++
  return count
}

function trimmed(json: Buffer, from: number, to: number): Buffer {
  let start = from
  let end = to
  while (isSpace(json[start])) start++
  while (isSpace(json[end - 1])) end--
  return json.subarray(start, end)
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function firstByte(json: Buffer): number {
  let at = 0
  while (isSpace(json[at])) at++
  return at
}
