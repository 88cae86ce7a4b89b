// Reads the lines of an audit segment, as text: one character per byte, since records are ASCII.
import { setTimeout as delay } from 'node:timers/promises'
import { openSegment, type SegmentBytes } from './segment-bytes.ts'

/**
 * `number` counts from 1. `at`: where the line begins. `complete`: the line ends with a line feed; only the last line may lack
 * one.
 */
type Line = {
  readonly number: number
  readonly at: number
  readonly text: string
  readonly complete: boolean
}

type LineSplitter = {
  /** The lines that `chunk` completes. */
  push(chunk: Buffer): string[]
  /** The rest: the beginning of an incomplete line. */
  rest(): string
}

/** Far longer than any record. To bound memory, a longer line is returned in pieces, which are not valid records. */
const MAX_LINE = 1024 * 1024
/** A line that is being written is complete a moment later. */
const SETTLE_TRIES = 3
const SETTLE_MS = 50
const LINE_FEED = 10
const BACK_BYTES = 64 * 1024

export function createLineSplitter(): LineSplitter {
  let rest = ''
  return {
    push(chunk) {
      const lines = (rest + chunk.toString('latin1')).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > MAX_LINE) {
        lines.push(rest)
        rest = ''
      }
      return lines
    },
    rest: () => rest,
  }
}

/** Streams the lines of a segment up to its end. Rejects as `openSegment` does. */
export async function* readLines(file: string): AsyncGenerator<Line, void> {
  const segment = await openSegment(file)
  try {
    const splitter = createLineSplitter()
    let [number, at] = [0, 0]
    for await (const chunk of chunks(segment, splitter)) {
      for (const text of splitter.push(chunk)) {
        yield { number: ++number, at, text, complete: true }
        at += text.length + 1
      }
    }
    if (splitter.rest() !== '') yield { number: number + 1, at, text: splitter.rest(), complete: false }
  } finally {
    await segment.close()
  }
}

/** Where the last whole line of a segment ends. */
export async function endOfLines(segment: SegmentBytes): Promise<number> {
  for (let end = await segment.size(); end > 0;) {
    const from = Math.max(0, end - BACK_BYTES)
    const feed = (await textOf(segment, from, end)).lastIndexOf('\n')
    if (feed !== -1) return from + feed + 1
    end = from
  }
  return 0
}

/** The whole lines of a segment from the one that ends at `from`, by default its last, to its first. */
export async function* readLinesBackwards(file: string, from?: number): AsyncGenerator<string, void> {
  const segment = await openSegment(file)
  try {
    let end = from ?? (await segment.size())
    // The beginning of the line that continues at `end`, whose end is not known yet.
    let rest: string | undefined
    while (end > 0) {
      const start = Math.max(0, end - BACK_BYTES)
      const lines = (await textOf(segment, start, end)).split('\n')
      const last = lines.pop() ?? ''
      if (lines.length === 0) {
        rest = rest === undefined ? undefined : last + rest
        end = start
        if (rest !== undefined && rest.length > MAX_LINE) rest = ''
        continue
      }
      // Before the first line feed from the end, text is an incomplete line.
      if (rest !== undefined) yield last + rest
      rest = lines.shift() ?? ''
      for (const line of lines.reverse()) yield line
      end = start
    }
    if (rest !== undefined) yield rest
  } finally {
    await segment.close()
  }
}

/** The line that begins at `at`, without its line feed; undefined when there is no whole line. */
export async function lineAt(segment: SegmentBytes, at: number): Promise<string | undefined> {
  let text = ''
  for (let position = at; text.length <= MAX_LINE;) {
    const bytes = await segment.read(position)
    if (bytes.length === 0) return undefined
    const feed = bytes.indexOf(LINE_FEED)
    if (feed !== -1) return text + bytes.toString('latin1', 0, feed)
    text += bytes.toString('latin1')
    position += bytes.length
  }
  return undefined
}

async function textOf(segment: SegmentBytes, from: number, end: number): Promise<string> {
  let text = ''
  for (let at = from; at < end;) {
    const bytes = await segment.read(at)
    if (bytes.length === 0) break
    text += bytes.toString('latin1', 0, Math.min(bytes.length, end - at))
    at += bytes.length
  }
  return text
}

async function* chunks(segment: SegmentBytes, splitter: LineSplitter): AsyncGenerator<Buffer, void> {
  let position = 0
  for (let tries = 0; tries < SETTLE_TRIES;) {
    const bytes = await segment.read(position)
    position += bytes.length
    if (bytes.length > 0) {
      yield bytes
      tries = 0
    } else if (splitter.rest() === '') return
    else if (++tries < SETTLE_TRIES) await delay(SETTLE_MS)
  }
}
