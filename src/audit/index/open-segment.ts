// A segment with its index, ready for questions. An index that is missing, stale or damaged is made or extended first: beside the
// segment, or in a temporary folder where we may not write.
import { join } from 'node:path'
import { openRecord } from '../chain.ts'
import { endOfLines, lineAt } from '../lines.ts'
import type { AuditSegment } from '../places.ts'
import type { AuditRecord } from '../reader.ts'
import { openSegment as openBytes, type SegmentBytes } from '../segment-bytes.ts'
import { indexFileOf, isNotWritable, openIndexToRead, readProgress, removeIndex, type Progress } from './index-file.ts'
import { indexSegment } from './index-segment.ts'
import { readIndex, type SegmentIndex } from './segment-index.ts'
import { isFresh, isOfSegment, stampOf } from './segment-lines.ts'
import { unlessAbsent } from '../unless-absent.ts'

export type OpenSegment = {
  readonly index: SegmentIndex
  /** The record that begins there; undefined when none does, and once the segment is gone. */
  readonly recordAt: (at: number) => Promise<AuditRecord | undefined>
  /** Its index is not kept: whoever has done with the segment should close it, since it takes room. */
  readonly isTemporary: boolean
  readonly close: () => Promise<void>
}

/** `file`: the segment whose index is made. */
export type Indexing = {
  readonly file: string
  readonly records: number
  readonly bytes: number
  readonly ofBytes: number
}

type OpenOptions = {
  /** Whether it is not the newest of its chain. */
  readonly isClosed: boolean
  /** The segments before it, oldest first. */
  readonly before: readonly AuditSegment[]
  /** False: an index is never made beside this segment. */
  readonly isKept: boolean
  /** A folder for indexes that cannot be beside their segments. */
  readonly temporaryFolder: () => string
  readonly onIndexing: (indexing: Indexing) => void
  /** `wrong`: what is there is removed first. `ignored`: what is there is not believed. */
  readonly present: 'used' | 'ignored' | 'wrong'
}

/** Rejects as `openSegment` of segment-bytes.ts does, and with SQLite's errors when no index can be made anywhere. */
export async function openIndexed(segment: AuditSegment, options: OpenOptions): Promise<OpenSegment> {
  const { file } = segment
  const { present, isClosed } = options
  if (present === 'wrong') removeOwn(indexFileOf(file), options.isKept)
  const ready = present === 'used' ? await openReady(file, isClosed) : undefined
  if (ready !== undefined) return withLines(file, ready)
  const { index, temporaryFile } = await make(segment, options)
  return withLines(file, index, temporaryFile)
}

/** The index of a segment that reaches to its end; undefined without one. */
async function openReady(file: string, isClosed: boolean): Promise<SegmentIndex | undefined> {
  return openMade(indexFileOf(file), async (made) => {
    if (isClosed && isFresh(made, stampOf(file))) return true
    const segment = await openBytes(file)
    try {
      return (await isOfSegment(made, segment)) && made.builtTo >= (await endOfLines(segment))
    } finally {
      await segment.close()
    }
  })
}

/** An index as it is, without making one; undefined when there is none that is usable. */
export async function openMade(
  indexFile: string,
  isUsable: (made: Progress) => boolean | Promise<boolean>,
): Promise<SegmentIndex | undefined> {
  const database = openIndexToRead(indexFile)
  if (database === undefined) return undefined
  try {
    const made = readProgress(database)
    if (await isUsable(made)) return readIndex(database, made)
  } catch (cause: unknown) {
    database.close()
    if (cause instanceof Error && 'errcode' in cause) return undefined
    throw cause
  }
  database.close()
  return undefined
}

type Made = { readonly index: SegmentIndex; readonly temporaryFile?: string }

async function make({ file }: AuditSegment, options: OpenOptions): Promise<Made> {
  const beside = indexFileOf(file)
  if (options.isKept) {
    try {
      return { index: await makeAt(beside, file, options) }
    } catch (cause: unknown) {
      if (!isNotWritable(cause)) throw cause
    }
  }
  const temporaryFile = join(options.temporaryFolder(), `${file.replaceAll(/[^\w.]/g, '_')}.index`)
  // What is there is extended: only the end of the newest segment may be missing.
  if (options.present === 'used') copyIfThere(beside, temporaryFile)
  return { index: await makeAt(temporaryFile, file, options), temporaryFile }
}

async function makeAt(indexFile: string, file: string, options: OpenOptions): Promise<SegmentIndex> {
  const { isClosed, before, onIndexing } = options
  const onBatch = (made: Omit<Indexing, 'file'>): void => onIndexing({ file, ...made })
  for (const isLast of [false, true]) {
    // More than once when another process indexes the segment too.
    while (!(await indexSegment(file, { isClosed, before, indexFile, onBatch })).isComplete);
    const index = await openMade(indexFile, () => true)
    if (index !== undefined) return index
    if (!isLast) removeIndex(indexFile)
  }
  throw Object.assign(new Error(`${indexFile}: the index cannot be read`), { code: 'EIO' })
}

function withLines(file: string, index: SegmentIndex, temporaryFile?: string): OpenSegment {
  let opened: Promise<SegmentBytes | undefined> | undefined
  return {
    index,
    isTemporary: temporaryFile !== undefined,
    async recordAt(at) {
      opened ??= openBytes(file).catch(unlessAbsent)
      const segment = await opened
      const text = segment === undefined ? undefined : await lineAt(segment, at)
      const record = text === undefined ? undefined : openRecord(text)
      return text === undefined || typeof record !== 'object' ? undefined : { line: 0, text, record }
    },
    async close() {
      index.close()
      if (temporaryFile !== undefined) removeIndex(temporaryFile)
      await (await opened?.catch(() => undefined))?.close()
    },
  }
}

/** As one state, although the controller may be writing to it. */
function copyIfThere(from: string, to: string): void {
  const database = openIndexToRead(from)
  try {
    database?.prepare('VACUUM INTO ?').run(to)
  } catch {
    removeIndex(to)
  } finally {
    database?.close()
  }
}

function removeOwn(indexFile: string, isKept: boolean): void {
  try {
    if (isKept) removeIndex(indexFile)
  } catch (cause: unknown) {
    if (!isNotWritable(cause)) throw cause
  }
}
