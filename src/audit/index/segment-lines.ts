// What an index needs of a segment: its whole lines from a position on, and whether the index is that of this segment.
import { statSync } from 'node:fs'
import { openRecord } from '../chain.ts'
import { lineAt } from '../lines.ts'
import { compressedFile } from '../places.ts'
import type { SegmentBytes } from '../segment-bytes.ts'
import { currentBoot, type Progress } from './index-file.ts'

/** Lines that follow one another, and where the one after them begins. */
export type Lines = { readonly lines: readonly { readonly at: number; readonly text: string }[]; readonly end: number }

/** A longer line is no record. */
const MAX_LINE = 1024 * 1024
const LINE_FEED = 10

/** The whole lines from `from` on, in batches of about `batchBytes`. */
export async function* linesFrom(segment: SegmentBytes, from: number, batchBytes: number): AsyncGenerator<Lines, void> {
  let lines: { at: number; text: string }[] = []
  let [start, end] = [from, from]
  let rest = Buffer.alloc(0)
  for (;;) {
    const chunk = await segment.read(end + rest.length)
    if (chunk.length === 0) break
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const base = end
    for (let feed = bytes.indexOf(LINE_FEED); feed !== -1; feed = bytes.indexOf(LINE_FEED, end - base)) {
      if (feed - (end - base) <= MAX_LINE) lines.push({ at: end, text: bytes.toString('latin1', end - base, feed) })
      end = base + feed + 1
    }
    rest = Buffer.from(bytes.subarray(end - base))
    if (end - start >= batchBytes) {
      yield { lines, end }
      lines = []
      start = end
    }
  }
  if (end > start) yield { lines, end }
}

/** The whole lines from `from` on in which `text` is. Most of the segment is only searched, not split into lines. */
export async function* linesWith(segment: SegmentBytes, from: number, text: string): AsyncGenerator<string, void> {
  let [end, rest] = [from, Buffer.alloc(0)]
  for (;;) {
    const chunk = await segment.read(end + rest.length)
    if (chunk.length === 0) return
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (let at = bytes.indexOf(text); at !== -1;) {
      const feed = bytes.indexOf(LINE_FEED, at)
      if (feed === -1) break
      yield bytes.toString('latin1', bytes.lastIndexOf(LINE_FEED, at) + 1, feed)
      at = bytes.indexOf(text, feed)
    }
    const whole = bytes.length > MAX_LINE ? bytes.length : bytes.lastIndexOf(LINE_FEED) + 1
    rest = Buffer.from(bytes.subarray(whole))
    end += whole
  }
}

/** Whether nothing was written since somebody compared the finished index with its segment. */
export function isFresh({ sealedStamp }: Progress, stamp: string): boolean {
  return sealedStamp !== '' && sealedStamp === stamp
}

/**
 * Whether the index is that of this segment, as far as it goes. Not when the machine was started again before it was sealed:
 * nobody knows whether it is on disk as it was written.
 */
export async function isOfSegment(made: Progress, segment: SegmentBytes): Promise<boolean> {
  if (made.builtTo === 0) return true
  if (made.sealedStamp === '' && made.boot !== currentBoot()) return false
  if (made.builtTo > (await segment.size())) return false
  if (made.lastAt === -1) return true
  const record = openRecord((await lineAt(segment, made.lastAt)) ?? '')
  return typeof record === 'object' && record.hash === made.lastHash
}

/** What the file of a segment is like: any change of it changes this too. '' when there is none. */
export function stampOf(file: string): string {
  const options = { bigint: true, throwIfNoEntry: false } as const
  const stat = statSync(file, options) ?? statSync(compressedFile(file), options)
  return stat === undefined ? '' : [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':')
}
