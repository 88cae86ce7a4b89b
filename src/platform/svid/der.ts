// Reads DER element by element: accepts only single-byte tags and definite lengths in their shortest form.

type Element = {
  readonly tag: number
  /** Where its content begins and ends in the buffer from which it was read. */
  readonly start: number
  readonly end: number
}

export const TAG = { boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, sequence: 0x30 } as const
const CONSTRUCTED = 0x20

/** The element that begins at `at`. @throws {Error} when it is not DER */
function readElement(der: Buffer, at: number): Element {
  const tag = der[at]
  const first = der[at + 1]
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw malformed()
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || lengthBytes > 3 || at + 2 + lengthBytes > der.length) throw malformed()
  const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes)
  if (lengthBytes > 0 && length < (lengthBytes === 1 ? 0x80 : 1 << (8 * (lengthBytes - 1)))) throw malformed()
  const start = at + 2 + lengthBytes
  if (start + length > der.length) throw malformed()
  return { tag, start, end: start + length }
}

/** An element with its content; `der` includes the header. */
export type Value = {
  readonly tag: number
  readonly content: Buffer
  readonly der: Buffer
  readonly isConstructed: boolean
}

/** The elements in `der`, which must fill it completely. @throws {Error} */
export function readAll(der: Buffer): Value[] {
  const values: Value[] = []
  for (let at = 0; at < der.length;) {
    const { tag, start, end } = readElement(der, at)
    values.push({
      tag,
      content: der.subarray(start, end),
      der: der.subarray(at, end),
      isConstructed: (tag & CONSTRUCTED) !== 0,
    })
    at = end
  }
  return values
}

/** The elements of `der`, which must be a single sequence. @throws {Error} */
export function readSequence(der: Buffer): Value[] {
  const [sequence, ...rest] = readAll(der)
  if (sequence?.tag !== TAG.sequence || rest.length > 0) throw malformed()
  return readAll(sequence.content)
}

/** A view of the same bytes. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function malformed(): Error {
  return new Error('not DER')
}
