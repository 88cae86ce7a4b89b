// Reads the lines of a segment as bytes, without a promise and a string for each: for `verify`.
import { setTimeout as delay } from 'node:timers/promises'
import { openSegment, type SegmentBytes } from './segment-bytes.ts'

/** Gets the line in `bytes` from `start` to `end`, where its line feed is. It may write there. `number` counts from 1. */
type SeeLine = (bytes: Buffer, start: number, end: number, number: number) => void

/** Far longer than any record. A longer line is given once, cut, and is no valid record. */
const MAX_LINE = 1024 * 1024
const STEP_BYTES = 256 * 1024
const LINE_FEED = 10
/** A line that is being written is complete a moment later. */
const SETTLE_TRIES = 3
const SETTLE_MS = 50

/**
 * Gives every whole line of a segment to `see`, and the number of bytes that it has read to `onBytes`.
 * @returns how many bytes there are after the last line feed. Rejects as `openSegment` does.
 */
export async function eachLine(file: string, see: SeeLine, onBytes: (count: number) => void): Promise<number> {
  const segment = await openSegment(file)
  try {
    return await readTo(segment, new LineCutter(see), onBytes)
  } finally {
    await segment.close()
  }
}

async function readTo(segment: SegmentBytes, cutter: LineCutter, onBytes: (count: number) => void): Promise<number> {
  let position = 0
  for (let tries = 0; ;) {
    const bytes = await segment.read(position)
    position += bytes.length
    if (bytes.length > 0) {
      cutter.push(bytes)
      onBytes(bytes.length)
      tries = 0
    } else if (cutter.rest === 0 || ++tries === SETTLE_TRIES) return cutter.rest
    else await delay(SETTLE_MS)
  }
}

/** Invariant: `#bytes` begins with the `rest` bytes that follow the last line feed. */
class LineCutter {
  readonly #see: SeeLine
  #bytes = Buffer.allocUnsafe(2 * STEP_BYTES)
  #number = 0
  /** The line that goes on was given already. */
  #isTooLong = false
  rest = 0

  constructor(see: SeeLine) {
    this.#see = see
  }

  push(chunk: Buffer): void {
    const end = this.rest + chunk.length
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * end)
    chunk.copy(this.#bytes, this.rest)
    let start = 0
    for (let feed = this.#feedFrom(this.rest, end); feed !== -1; feed = this.#feedFrom(start, end)) {
      if (this.#isTooLong) this.#isTooLong = false
      else this.#see(this.#bytes, start, feed, ++this.#number)
      start = feed + 1
    }
    this.#bytes.copyWithin(0, start, end)
    this.rest = end - start
    if (this.rest > MAX_LINE || this.#isTooLong) this.#cut()
  }

  #feedFrom(start: number, end: number): number {
    const feed = this.#bytes.indexOf(LINE_FEED, start)
    return feed < end ? feed : -1
  }

  #cut(): void {
    if (!this.#isTooLong) this.#see(this.#bytes, 0, MAX_LINE, ++this.#number)
    this.#isTooLong = true
    this.rest = 0
  }
}
