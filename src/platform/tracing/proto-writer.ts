// Writes the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding) into one growing buffer.

const FIRST_BYTES = 256 * 1024
/** A text up to this length is written byte by byte, which is faster than a call into Node. */
const SHORT_CHARS = 96
const TWO_32 = 2 ** 32

/** A class, since it is state with one invariant: what is before `pos` is written. */
export class ProtoWriter {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #pos = 0

  /** A copy of everything since the last call. */
  take(): Uint8Array {
    const taken = Uint8Array.prototype.slice.call(this.#bytes, 0, this.#pos)
    this.#pos = 0
    return taken
  }

  /** A length-delimited field: `end` writes its length. @returns what `end` needs */
  begin(tag: number): number {
    this.varint(tag)
    this.#reserve(1)
    return this.#pos++
  }

  end(at: number): void {
    const length = this.#pos - at - 1
    if (length < 0x80) {
      this.#bytes[at] = length
      return
    }
    const more = bytesOf(length) - 1
    this.#reserve(more)
    this.#bytes.copyWithin(at + 1 + more, at + 1, this.#pos)
    const end = this.#pos + more
    this.#pos = at
    this.varint(length)
    this.#pos = end
  }

  /** A non-negative integer of at most 53 bits; a negative one is written in two's complement of 64. */
  varint(value: number): void {
    this.#reserve(10)
    if (value >= 0 && value < 0x80) {
      this.#bytes[this.#pos++] = value
      return
    }
    if (value < 0) {
      this.#negative(value)
      return
    }
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#pos++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#pos++] = rest
  }

  text(tag: number, text: string): void {
    this.varint(tag)
    const { length } = text
    this.#reserve(3 * length + 5)
    if (length > SHORT_CHARS || !this.#ascii(text)) {
      this.varint(Buffer.byteLength(text))
      this.#pos += this.#bytes.write(text, this.#pos)
    }
  }

  raw(tag: number, bytes: Uint8Array): void {
    this.varint(tag)
    this.varint(bytes.length)
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#pos)
    this.#pos += bytes.length
  }

  hex(tag: number, digits: string): void {
    this.varint(tag)
    const length = digits.length >> 1
    this.varint(length)
    this.#reserve(length)
    const bytes = this.#bytes
    const start = this.#pos
    for (let at = 0; at < length; at += 1) {
      bytes[start + at] = (digit(digits.charCodeAt(2 * at)) << 4) | digit(digits.charCodeAt(2 * at + 1))
    }
    this.#pos = start + length
  }

  double(tag: number, value: number): void {
    this.varint(tag)
    this.#reserve(8)
    this.#pos = this.#bytes.writeDoubleLE(value, this.#pos)
  }

  fixed32(tag: number, value: number): void {
    this.varint(tag)
    this.#reserve(4)
    this.#pos = this.#bytes.writeUInt32LE(value, this.#pos)
  }

  /** Seconds and nanoseconds as nanoseconds, which are more than the 53 bits of a number. */
  nanoseconds(tag: number, seconds: number, nanos: number): void {
    this.varint(tag)
    this.#reserve(8)
    const upper = Math.floor(seconds / 0x1_00_00) * 1e9
    const lower = (seconds % 0x1_00_00) * 1e9 + nanos
    const low = (upper % 0x1_00_00) * 0x1_00_00 + (lower % TWO_32)
    const high = Math.floor(upper / 0x1_00_00) + Math.floor(lower / TWO_32) + Math.floor(low / TWO_32)
    this.#pos = this.#bytes.writeUInt32LE(low % TWO_32, this.#pos)
    this.#pos = this.#bytes.writeUInt32LE(high, this.#pos)
  }

  /** Writes a short text with its length; false, and nothing, if it is not ASCII. */
  #ascii(text: string): boolean {
    const { length } = text
    const bytes = this.#bytes
    const start = this.#pos + 1
    for (let at = 0; at < length; at += 1) {
      const code = text.charCodeAt(at)
      if (code >= 0x80) return false
      bytes[start + at] = code
    }
    bytes[start - 1] = length
    this.#pos = start + length
    return true
  }

  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value))
    while (rest >= 0x80n) {
      this.#bytes[this.#pos++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#bytes[this.#pos++] = Number(rest)
  }

  #reserve(length: number): void {
    if (this.#pos + length <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#pos + length))
    larger.set(this.#bytes.subarray(0, this.#pos))
    this.#bytes = larger
  }
}

/** The value of a lower-case hex digit. */
function digit(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57
}

function bytesOf(length: number): number {
  return length < 0x40_00 ? 2 : length < 0x20_00_00 ? 3 : length < 0x10_00_00_00 ? 4 : 5
}
