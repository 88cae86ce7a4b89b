// Reads the lines of a slot in order, from where shipping stopped to the newest, while the log grows, is rotated and compressed.
import { segmentsIn, type AuditSegment } from '../../audit/places.ts'
import { lineAt, readLines } from '../../audit/lines.ts'
import { openSegment, type SegmentBytes } from '../../audit/segment-bytes.ts'
import type { Shipped } from '../../audit/shipped.ts'
import { readLine, type ReadLine } from './log-record.ts'

/** A line and where it begins in its segment. */
export type PlacedLine = ReadLine & { readonly at: number }
type BatchLimit = { readonly records: number; readonly bytes: number }
/** `lost`: the record that was shipped last is not in the log any more, so that all of the log is read from its beginning. */
type Resumption = 'from_the_beginning' | 'resumed' | 'lost'

type Current = { readonly firstSeq: number; readonly segment: SegmentBytes; position: number }

const SEQ = /^\{"v":1,"seq":(\d{1,16}),/

export class ChainReader {
  readonly #folder: string
  readonly #durableSeq: () => number
  #current: Current | undefined

  /** @param durableSeq the number of the last record that is on the disk: a later one may still be withdrawn */
  constructor(folder: string, durableSeq: () => number) {
    this.#folder = folder
    this.#durableSeq = durableSeq
  }

  /** Goes to the line after the record that was shipped last, or to the first line of all. */
  async resume(shipped: Shipped | undefined): Promise<Resumption> {
    await this.close()
    if (shipped === undefined) return 'from_the_beginning'
    const segments = segmentsIn(this.#folder)
    const segment = segments.findLast(({ firstSeq }) => firstSeq <= shipped.seq)
    if (segment === undefined) return isAfter(segments[0], shipped.seq) ? 'resumed' : 'lost'
    const next = await positionAfter(segment, shipped)
    if (next === undefined) return 'lost'
    await this.#enter(segment, next)
    return 'resumed'
  }

  /**
   * The next lines, at most as many as `limit` allows, but at least one if there is one.
   * @returns undefined when the log is not the one that was read so far: `resume` finds out where to go on
   */
  async next(limit: BatchLimit): Promise<readonly PlacedLine[] | undefined> {
    const lines: PlacedLine[] = []
    const room = { ...limit }
    for (;;) {
      if (this.#current === undefined) {
        const [first] = segmentsIn(this.#folder)
        if (first === undefined || !(await this.#enter(first, 0))) return lines
        continue
      }
      if (await isCut(this.#current)) return lines.length > 0 ? lines : undefined
      if (await this.#read(this.#current, lines, room)) return lines
      const { firstSeq } = this.#current
      const segments = segmentsIn(this.#folder)
      if ((segments.at(-1)?.firstSeq ?? firstSeq) < firstSeq) return lines.length > 0 ? lines : undefined
      const after = segments.find((one) => one.firstSeq > firstSeq)
      // The writer ends a segment before it begins the next: what it wrote meanwhile comes first.
      if (after === undefined || (await this.#read(this.#current, lines, room))) return lines
      if (!(await this.#enter(after, 0))) return lines
    }
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
    this.#current = { firstSeq, segment, position }
    return true
  }

  /** Reads whole lines into `lines`. @returns whether there is no room for more, or a record that is not durable yet */
  async #read(current: Current, lines: PlacedLine[], room: { records: number; bytes: number }): Promise<boolean> {
    const durable = this.#durableSeq()
    let rest = ''
    for (let at = current.position; ;) {
      const bytes = await current.segment.read(at)
      if (bytes.length === 0) return false
      at += bytes.length
      const whole = (rest + bytes.toString('latin1')).split('\n')
      rest = whole.pop() ?? ''
      for (const text of whole) {
        if (Number(SEQ.exec(text)?.[1] ?? 0) > durable) return true
        lines.push({ ...readLine(text), at: current.position })
        current.position += text.length + 1
        room.records -= 1
        room.bytes -= text.length
        if (room.records <= 0 || room.bytes <= 0) return true
      }
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
async function positionAfter({ file }: AuditSegment, { hash, position }: Shipped): Promise<number | undefined> {
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

function unlessAbsent(cause: unknown): undefined {
  if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
}
