// Reads the lines of a slot in order, from where shipping stopped to the newest, while the log grows, is rotated and compressed.
// Goes on behind a segment whose content is damaged.
import { damageOfContent } from '../../audit/damage.ts'
import { segmentsIn, type AuditSegment } from '../../audit/places.ts'
import { lineAt, readLines } from '../../audit/lines.ts'
import { openSegment, type SegmentBytes } from '../../audit/segment-bytes.ts'
import { openRecord, type Head } from '../../audit/chain.ts'
import { readLine, type Gap, type ReadLine } from './log-record.ts'
import { unlessAbsent } from '../../audit/unless-absent.ts'

/**
 * A line and where it begins in its segment. `before`: the record before the first of the segment. `gap`: the line is the first
 * behind a damaged segment.
 */
export type PlacedLine = ReadLine & { readonly at: number; readonly before: Head | null; readonly gap?: Gap }
type Room = { records: number; bytes: number }
type BatchLimit = Readonly<Room>

type Current = AuditSegment & {
  readonly segment: SegmentBytes
  position: number
  before: Head | null
}

/** Far longer than any record. */
const MAX_LINE = 1024 * 1024
const SEQ = /^\{"v":\d+,"seq":(\d{1,16}),/

export class ChainReader {
  readonly #folder: string
  readonly #durableSeq: () => number
  #current: Current | undefined
  /** The number of the last record that was read. */
  #lastSeq = 0
  /** To be told with the next line. */
  #gap: Gap | undefined

  /** @param durableSeq the number of the last record that is on the disk: a later one may still be withdrawn */
  constructor(folder: string, durableSeq: () => number) {
    this.#folder = folder
    this.#durableSeq = durableSeq
  }

  /**
   * Goes to the line after the record `shipped`, or, without it, to the first line of all.
   * @returns whether that record is in the log, or was the last before the oldest that is
   */
  async resume(shipped: Head | undefined, position = 0): Promise<boolean> {
    await this.close()
    this.#gap = undefined
    this.#lastSeq = shipped?.seq ?? 0
    if (shipped === undefined) return true
    const segments = segmentsIn(this.#folder)
    const segment = segments.findLast(({ firstSeq }) => firstSeq <= shipped.seq)
    if (segment === undefined) return isAfter(segments[0], shipped.seq)
    try {
      const next = await positionAfter(segment, shipped, position)
      if (next !== undefined) return await this.#enter(segment, next)
    } catch (cause: unknown) {
      return this.#skip(segment, cause)
    }
    // The record is lost, but the log went on behind a checkpoint of it.
    const after = segments.find(({ firstSeq }) => firstSeq === shipped.seq + 1)
    return after !== undefined && (await this.#enter(after, 0)) && this.#current?.before?.hash === shipped.hash
  }

  /**
   * The next lines, at most as many as `limit` allows, but at least one if there is one.
   * @returns undefined when the log is not the one that was read so far: `resume` finds out where to go on
   */
  async next(limit: BatchLimit): Promise<readonly PlacedLine[] | undefined> {
    const lines: PlacedLine[] = []
    let damaged: AuditSegment | undefined
    try {
      return await this.#next(lines, { ...limit }, (segment) => (damaged = segment))
    } catch (cause: unknown) {
      if (damageOfContent(cause) === undefined) throw cause
      // What was read before it comes first; the next call meets the damage again.
      if (lines.length > 0) return lines
      return (await this.#skip(damaged, cause)) ? this.next(limit) : lines
    }
  }

  async #next(
    lines: PlacedLine[],
    room: Room,
    reads: (segment: AuditSegment) => void,
  ): Promise<readonly PlacedLine[] | undefined> {
    for (;;) {
      if (this.#current === undefined) {
        const [first] = segmentsIn(this.#folder)
        if (first !== undefined) reads(first)
        if (first === undefined || !(await this.#enter(first, 0))) return lines
        continue
      }
      reads(this.#current)
      if (await isCut(this.#current)) return lines.length > 0 ? lines : undefined
      if (await this.#read(this.#current, lines, room)) return lines
      const { firstSeq } = this.#current
      const segments = segmentsIn(this.#folder)
      if ((segments.at(-1)?.firstSeq ?? firstSeq) < firstSeq) return lines.length > 0 ? lines : undefined
      const after = segments.find((one) => one.firstSeq > firstSeq)
      // The writer ends a segment before it begins the next: what it wrote meanwhile comes first.
      if (after === undefined || (await this.#read(this.#current, lines, room))) return lines
      reads(after)
      if (!(await this.#enter(after, 0))) return lines
    }
  }

  /** To the first segment behind a damaged one that can be read. @returns whether it is still there @throws `cause` when there is none */
  async #skip(damaged: AuditSegment | undefined, cause: unknown): Promise<boolean> {
    const reason = damageOfContent(cause)
    if (reason === undefined || damaged === undefined) throw cause
    const { file } = damaged
    const firstSeq = this.#gap?.firstSeq ?? Math.max(damaged.firstSeq, this.#lastSeq + 1)
    for (const after of segmentsIn(this.#folder).filter((one) => one.firstSeq > damaged.firstSeq)) {
      this.#gap = { file, firstSeq, lastSeq: after.firstSeq - 1, reason }
      try {
        return await this.#enter(after, 0)
      } catch (again: unknown) {
        if (damageOfContent(again) === undefined) throw again
      }
    }
    throw cause
  }

  async close(): Promise<void> {
    const current = this.#current
    this.#current = undefined
    await current?.segment.close()
  }

  async #enter({ firstSeq, file }: AuditSegment, position: number): Promise<boolean> {
    const segment = await openSegment(file).catch(unlessAbsent)
    if (segment === undefined) return false
    await this.close()
    this.#current = { firstSeq, file, segment, position, before: await headBefore(segment) }
    return true
  }

  /** @returns whether there is no room for more, or `piece` is not durable yet */
  #take(current: Current, piece: { text: string; bytes: number }, lines: PlacedLine[], room: Room): boolean {
    const { text, bytes } = piece
    const seq = Number(SEQ.exec(text)?.[1] ?? 0)
    if (seq > this.#durableSeq()) return true
    // The segment may have been empty when it was opened.
    if (current.position === 0) current.before = headBeforeLine(text)
    lines.push({ ...readLine(text), at: current.position, before: current.before, ...this.#takeGap() })
    if (seq > 0) this.#lastSeq = seq
    current.position += bytes
    room.records -= 1
    room.bytes -= text.length
    return room.records <= 0 || room.bytes <= 0
  }

  #takeGap(): { readonly gap?: Gap } {
    const gap = this.#gap
    this.#gap = undefined
    return gap === undefined ? {} : { gap }
  }

  /** Reads whole lines into `lines`. @returns whether there is no room for more, or a record that is not durable yet */
  async #read(current: Current, lines: PlacedLine[], room: Room): Promise<boolean> {
    let rest = ''
    for (let at = current.position; ;) {
      const bytes = await current.segment.read(at)
      if (bytes.length === 0) return false
      at += bytes.length
      const whole = (rest + bytes.toString('latin1')).split('\n')
      rest = whole.pop() ?? ''
      for (const text of whole) if (this.#take(current, { text, bytes: text.length + 1 }, lines, room)) return true
      // Not one of ours: shipped in pieces, as lines that are no records.
      if (rest.length <= MAX_LINE) continue
      if (this.#take(current, { text: rest, bytes: rest.length }, lines, room)) return true
      rest = ''
    }
  }
}

/** Cut behind our back: what was read of it is not in it any more. */
async function isCut({ segment, position }: Current): Promise<boolean> {
  return (await segment.size()) < position
}

function isAfter(segment: AuditSegment | undefined, seq: number): boolean {
  return segment === undefined || segment.firstSeq > seq
}

/** Where the line after that record begins; undefined when the record is not in the segment. */
async function positionAfter({ file }: AuditSegment, { hash }: Head, position: number): Promise<number | undefined> {
  const isIt = (text: string): boolean => readLine(text).record?.hash === hash
  const segment = await openSegment(file)
  try {
    const text = await lineAt(segment, position)
    if (text !== undefined && isIt(text)) return position + text.length + 1
  } finally {
    await segment.close()
  }
  for await (const { at, text } of readLines(file)) if (text.includes(hash) && isIt(text)) return at + text.length + 1
  return undefined
}

async function headBefore(segment: SegmentBytes): Promise<Head | null> {
  const first = await lineAt(segment, 0)
  return first === undefined ? null : headBeforeLine(first)
}

/** The record that the one of this line continues; null for the first of all, and for a line that is no record. */
function headBeforeLine(text: string): Head | null {
  const record = openRecord(text)
  if (typeof record === 'string' || record.seq === 1) return null
  return { seq: record.seq - 1, hash: record.prev }
}
