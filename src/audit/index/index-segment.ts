// Makes the index of a segment, and extends it as the segment grows: in batches, each of which is whole or not there.
import type { DatabaseSync } from 'node:sqlite'
import { openRecord, type ChainedRecord } from '../chain.ts'
import type { AuditSegment } from '../places.ts'
import { openSegment, type SegmentBytes } from '../segment-bytes.ts'
import {
  currentBoot,
  indexFileOf,
  isReplaceable,
  keyOf,
  openIndexToRead,
  openIndexToWrite,
  readProgress,
  removeIndex,
  together,
  writeProgress,
  type Progress,
} from './index-file.ts'
import { isFresh, isOfSegment, linesFrom, stampOf, type Lines } from './segment-lines.ts'
import { createShapeWriter, NO_BASE, UNKNOWN_BASE, type ShapeWriter } from './shapes.ts'
import { traitsOf, type Traits } from './traits.ts'

type IndexOptions = {
  /** Nothing is written to the segment any more: the finished index is synced, and not looked at again. */
  readonly isClosed: boolean
  /** Leaves less than this for the next call, unless the segment is closed: ids are random, so each call writes most pages. */
  readonly minBytes?: number
  /** Stops after about so many bytes of lines; the next call goes on there. */
  readonly budgetBytes?: number
  /** The segments before it in the chain, oldest first: the decision of an outcome may be there. */
  readonly before?: readonly AuditSegment[]
  /** Where the index is, unless it is beside the segment. */
  readonly indexFile?: string
  /** Told after each batch. */
  readonly onBatch?: (made: { readonly records: number; readonly bytes: number; readonly ofBytes: number }) => void
}

/** `records`: how many this call added. `isComplete`: all whole lines of the segment are indexed, but for `minBytes`. */
type IndexMade = { readonly records: number; readonly bytes: number; readonly isComplete: boolean }

/** Ids are random: each batch writes most pages of the index, and its journal. */
const BATCH_BYTES = 16 * 1024 * 1024
/** Decisions whose outcome has not come yet; others are looked up. */
const MAX_OPEN_CALLS = 20_000
/** Segments in which the decision of an outcome is looked for: those of its last hours. */
const SEGMENTS_BEFORE = 8
/**
 * Makes or extends the index of the segment `file`. What does not belong to the segment is made again from its beginning. Call it
 * as often as you like, from any process; a loop with a budget leaves room for other work. Rejects as `openSegment` does, and
 * with errors that `isNotWritable` and `isBusy` know.
 */
export async function indexSegment(file: string, options: IndexOptions): Promise<IndexMade> {
  try {
    return await extendIndex(file, options)
  } catch (cause: unknown) {
    if (!isReplaceable(cause)) throw cause
    removeIndex(options.indexFile ?? indexFileOf(file))
    return extendIndex(file, options)
  }
}

async function extendIndex(file: string, options: IndexOptions): Promise<IndexMade> {
  const { isClosed, budgetBytes = Number.POSITIVE_INFINITY, indexFile = indexFileOf(file) } = options
  await using stack = new AsyncDisposableStack()
  const stamp = stampOf(file)
  const segment = await openSegment(file)
  stack.defer(() => segment.close())
  const database = await openFor({ segment, stamp, indexFile, file })
  stack.defer(() => database.close())
  const before = readProgress(database)
  if (isFresh(before, stamp)) return { records: 0, bytes: 0, isComplete: true }
  const size = await segment.size()
  const isLittle = !isClosed && size - before.builtTo < (options.minBytes ?? 0)
  if (isLittle) return { records: 0, bytes: 0, isComplete: true }
  const writer = createRecordWriter(database, options.before ?? [])
  let made = before
  let isComplete = true
  for await (const batch of linesFrom(segment, made.builtTo, Math.min(BATCH_BYTES, budgetBytes))) {
    made = addBatch({ database, writer, batch, before: made })
    options.onBatch?.({ records: made.records, bytes: made.builtTo, ofBytes: size })
    // Another process was faster, or the budget is used up.
    isComplete = made.builtTo === batch.end && made.builtTo - before.builtTo < budgetBytes
    if (!isComplete) break
  }
  if (isComplete && isClosed) seal(database, made, stamp)
  return { records: made.records - before.records, bytes: made.builtTo - before.builtTo, isComplete }
}

/** The index of this segment; one of another segment is replaced by an empty one. */
async function openFor(of: {
  readonly segment: SegmentBytes
  readonly stamp: string
  readonly indexFile: string
  readonly file: string
}): Promise<DatabaseSync> {
  const database = openIndexToWrite(of.indexFile, of.file)
  try {
    const made = readProgress(database)
    if (isFresh(made, of.stamp) || (await isOfSegment(made, of.segment))) return database
  } catch (cause: unknown) {
    database.close()
    throw cause
  }
  database.close()
  removeIndex(of.indexFile)
  return openIndexToWrite(of.indexFile, of.file)
}

/** Adds a batch, unless another process was faster. @returns how far the index goes now */
function addBatch(of: {
  readonly database: DatabaseSync
  readonly writer: RecordWriter
  readonly batch: Lines
  readonly before: Progress
}): Progress {
  const { database, writer, batch, before } = of
  return together(database, () => {
    const now = readProgress(database)
    if (now.builtTo !== before.builtTo) return now
    let made: Progress = { ...before, builtTo: batch.end, boot: currentBoot(), sealedStamp: '' }
    for (const { at, text } of batch.lines) {
      const record = openRecord(text)
      if (typeof record === 'string') continue
      const time = timeOf(record)
      writer.add(at, time, record)
      made = {
        ...made,
        lastAt: at,
        lastHash: record.hash,
        lastSeq: record.seq,
        records: made.records + 1,
        minTime: made.records === 0 ? time : Math.min(made.minTime, time),
        maxTime: made.records === 0 ? time : Math.max(made.maxTime, time),
      }
    }
    writer.flush()
    writeProgress(database, made)
    return made
  })
}

type RecordWriter = {
  readonly add: (at: number, time: number, record: ChainedRecord) => void
  readonly flush: () => void
}

function createRecordWriter(database: DatabaseSync, before: readonly AuditSegment[]): RecordWriter {
  const shapes = createShapeWriter(database)
  const insert = database.prepare('INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?)')
  const decisions = createDecisions(database, shapes, before)
  return {
    add(at, time, record) {
      const { decision_id: decisionId } = record
      const traits = traitsOf(record)
      const base = record.event === 'route_outcome' ? decisions.take(decisionId) : NO_BASE
      const shape = shapes.count(traits, base)
      if (record.event === 'policy_decision') decisions.put(decisionId, shape)
      insert.run(at, time, shape, keyOf(decisionId) ?? null, keyOf(record['trace_id']) ?? null)
    },
    flush: shapes.flush,
  }
}

type Decisions = {
  readonly put: (decisionId: unknown, shape: number) => void
  /** The shape of the decision of an outcome. */
  readonly take: (decisionId: unknown) => number
}

function createDecisions(database: DatabaseSync, shapes: ShapeWriter, before: readonly AuditSegment[]): Decisions {
  const open = new Map<unknown, number>()
  const select = database.prepare('SELECT shape FROM record WHERE decision = ?')
  const event = database.prepare('SELECT text FROM term WHERE id = (SELECT event FROM shape WHERE id = ?)')
  return {
    put(decisionId, shape) {
      if (keyOf(decisionId) === undefined) return
      if (open.size >= MAX_OPEN_CALLS) open.delete(open.keys().next().value)
      open.set(decisionId, shape)
    },
    take(decisionId) {
      const shape = open.get(decisionId)
      if (shape === undefined) return lookedUp(keyOf(decisionId))
      open.delete(decisionId)
      return shape
    },
  }

  function lookedUp(key: number | undefined): number {
    if (key === undefined) return UNKNOWN_BASE
    const own = select.all(key).find(({ shape }) => event.get(shape ?? 0)?.['text'] === 'policy_decision')
    if (own !== undefined) return Number(own['shape'])
    const traits = decisionBefore(before.slice(-SEGMENTS_BEFORE), key)
    return traits === undefined ? UNKNOWN_BASE : shapes.numberOf(traits, NO_BASE)
  }
}

const DECISION = `
  SELECT who.text AS who, caps.text AS caps, event.text AS event, decision.text AS decision, outcome.text AS outcome,
    workers.text AS workers, shape.status AS status, texts.text AS texts
  FROM record JOIN shape ON shape.id = record.shape JOIN term AS event ON event.id = shape.event
    LEFT JOIN term AS who ON who.id = shape.who LEFT JOIN term AS caps ON caps.id = shape.caps
    LEFT JOIN term AS decision ON decision.id = shape.decision LEFT JOIN term AS outcome ON outcome.id = shape.outcome
    LEFT JOIN term AS workers ON workers.id = shape.workers LEFT JOIN term AS texts ON texts.id = shape.texts
  WHERE record.decision = ? AND event.text = 'policy_decision'`

/** The traits of a decision in an earlier segment, from the newest one on; undefined without an index that has it. */
function decisionBefore(segments: readonly AuditSegment[], key: number): Traits | undefined {
  for (const { file } of segments.toReversed()) {
    const database = openIndexToRead(indexFileOf(file))
    try {
      const row = database?.prepare(DECISION).get(key)
      if (row === undefined) continue
      const text = (name: string): string => (typeof row[name] === 'string' ? row[name] : '')
      const [who, caps, event, decision] = [text('who'), text('caps'), text('event'), text('decision')]
      const [outcome, workers, texts] = [text('outcome'), text('workers'), text('texts')]
      return { who, caps, event, decision, outcome, workers, texts, status: Number(row['status']) }
    } catch {
      // The query looks for it: see UNKNOWN_BASE.
      continue
    } finally {
      database?.close()
    }
  }
  return undefined
}

/** Makes sure that the index is on disk, and says of which file it is. */
function seal(database: DatabaseSync, made: Progress, stamp: string): void {
  database.exec('PRAGMA synchronous = FULL')
  together(database, () => {
    const now = readProgress(database)
    if (now.builtTo === made.builtTo) writeProgress(database, { ...made, sealedStamp: stamp })
  })
}

function timeOf({ timestamp }: ChainedRecord): number {
  const time = Date.parse(timestamp)
  return Number.isNaN(time) ? 0 : time
}
