// Reads parts of segments, compressed or not, in a thread of the replay.
import { openSegment, type SegmentBytes } from '../../audit/segment-bytes.ts'

/** Far longer than any record. The end of a longer line is not read; the line is no record. */
const MAX_LINE = 1024 * 1024
const LINE_FEED = 10

export type PartReader = {
  /** The lines that begin at `from` or later, and before `to`, without line feeds; empty ones between them mean nothing. Rejects as `openSegment` does. */
  readonly read: (file: string, from: number, to: number) => Promise<string[]>
  readonly close: () => Promise<void>
}

export function createPartReader(): PartReader {
  // Some segments cost much to open: those that another program compressed are one frame.
  let open: { readonly file: string; readonly segment: SegmentBytes } | undefined
  // Fresh memory for each part would cost as much as the copy.
  let memory = Buffer.alloc(0)
  const close = async (): Promise<void> => {
    await open?.segment.close()
    open = undefined
  }
  return {
    async read(file, from, to) {
      if (open?.file !== file) {
        await close()
        open = { file, segment: await openSegment(file) }
      }
      // With the byte before, which tells whether a line begins at `from`.
      if (memory.length < to - from + 1) memory = Buffer.allocUnsafe(to - from + 1)
      const first = Math.max(0, from - 1)
      const bytes = await fill(memory.subarray(0, to - first), open.segment, first)
      const begins = from === 0 ? 0 : bytes.indexOf(LINE_FEED) + 1
      if (begins === bytes.length || (begins === 0 && from > 0)) return []
      // Records are ASCII, see audit/serialise.ts.
      const text = bytes.toString('latin1', begins)
      return (bytes.at(-1) === LINE_FEED ? text : text + (await restOfLine(open.segment, to))).split('\n')
    },
    close,
  }
}

/** The bytes of the segment from `position` on, as many as there is room for, or fewer at its end. */
async function fill(room: Buffer, segment: SegmentBytes, position: number): Promise<Buffer> {
  let filled = 0
  while (filled < room.length) {
    const bytes = await segment.read(position + filled)
    if (bytes.length === 0) break
    filled += bytes.copy(room, filled)
  }
  return room.subarray(0, filled)
}

async function restOfLine(segment: SegmentBytes, from: number): Promise<string> {
  let rest = ''
  while (rest.length < MAX_LINE) {
    const bytes = await segment.read(from + rest.length)
    if (bytes.length === 0) return rest
    const feed = bytes.indexOf(LINE_FEED)
    rest += bytes.toString('latin1', 0, feed === -1 ? bytes.length : feed)
    if (feed !== -1) return rest
  }
  return rest
}
