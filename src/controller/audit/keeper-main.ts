// The thread that keeps the segments of one slot: compresses complete ones, makes the indexes, and says which segments may go. It has a low
// priority: calls go first.
import { rmSync, statSync } from 'node:fs'
import { setPriority } from 'node:os'
import { compressSegment } from '../../audit/compress.ts'
import { indexFileOf, removeIndex } from '../../audit/index/index-file.ts'
import { indexSegment } from '../../audit/index/index-segment.ts'
import { diskOutlook, factsOf, firstRecordOf, type SegmentFacts } from '../../audit/outlook.ts'
import { compressedFile, isCompressed, segmentsIn } from '../../audit/places.ts'
import { removalOf } from '../../audit/retention.ts'
import { serveThread } from '../../platform/thread/serve.ts'
import type { KeeperData, KeeperReport, KeeperTask, Removable } from './keeper-words.ts'

/** Of -20 to 19: beside a busy process it gets a tenth of a core. */
const LOW = 10
const WRITERS = 0o222
/** At once: about half a second of work. */
const INDEXED_BYTES = 16 * 1024 * 1024

class Keeper {
  readonly #data: KeeperData
  /** Times of first records, which never change. */
  readonly #began = new Map<number, number | undefined>()
  /** Complete segments whose index is complete, by name: compressed ones have another. */
  readonly #indexed = new Set<string>()

  constructor(data: KeeperData) {
    this.#data = data
  }

  async do(task: KeeperTask): Promise<KeeperReport | undefined> {
    if (task.kind === 'look') return await this.#look(task.nowMs)
    for (const file of task.files) {
      for (const name of [file, compressedFile(file)]) rmSync(name, { force: true })
      removeIndex(indexFileOf(file))
    }
    return undefined
  }

  async #look(nowMs: number): Promise<KeeperReport> {
    const { folder, keep, full, minFree } = this.#data
    const faults: string[] = []
    const isCompressing = this.#compressOne(faults)
    const isIndexing = await this.#indexSome(faults)
    const segments = await factsOf(segmentsIn(folder), this.#began)
    const disk = diskOutlook(folder, segments, { minFree, nowMs })
    const removal = removalOf(segments, disk, { keep, full, nowMs, shippedSeq: undefined })
    const removable = removal && (await this.#removable(segments.slice(0, removal.count + 1), removal.reason))
    return { disk, segments: segments.length, removable, faults, more: isCompressing || isIndexing }
  }

  /** @returns whether there may be another one */
  #compressOne(faults: string[]): boolean {
    const complete = segmentsIn(this.#data.folder).slice(0, -1)
    const next = complete.find(({ file }) => !isCompressed(file) && (statSync(file).mode & WRITERS) === 0)
    if (next === undefined) return false
    try {
      compressSegment(next.file)
      return true
    } catch (cause: unknown) {
      faults.push(`${next.file} could not be compressed: ${cause instanceof Error ? cause.message : String(cause)}`)
      return false
    }
  }

  /** The oldest segment without a complete index, up to the newest records. @returns whether there is more */
  async #indexSome(faults: string[]): Promise<boolean> {
    const segments = segmentsIn(this.#data.folder)
    const at = segments.findIndex(({ file }) => !this.#indexed.has(file))
    const next = segments[at]
    if (next === undefined) return false
    const isClosed = at < segments.length - 1
    try {
      const options = { isClosed, budgetBytes: INDEXED_BYTES, before: segments.slice(0, at) }
      const { isComplete } = await indexSegment(next.file, options)
      if (isComplete && isClosed) this.#indexed.add(next.file)
      return !isComplete || isClosed
    } catch (cause: unknown) {
      faults.push(`${next.file} could not be indexed: ${cause instanceof Error ? cause.message : String(cause)}`)
      return false
    }
  }

  /** `segments`: those to remove, and the one that follows, which knows the last hash. */
  async #removable(segments: readonly SegmentFacts[], reason: Removable['reason']): Promise<Removable | undefined> {
    const [oldest, next] = [segments[0], segments.at(-1)]
    const after = next === undefined ? undefined : await firstRecordOf(next.file)
    if (oldest === undefined || after === undefined) return undefined
    const files = segments.slice(0, -1).map(({ file }) => file)
    return { files, reason, firstSeq: oldest.firstSeq, lastSeq: after.seq - 1, lastHash: after.prev }
  }
}

serveThread<KeeperData, KeeperTask, KeeperReport | undefined>((data) => {
  // Of this thread alone: on Linux each thread has its own.
  setPriority(0, LOW)
  const keeper = new Keeper(data)
  return { answer: (task) => keeper.do(task) }
})
