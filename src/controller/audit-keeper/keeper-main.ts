// The thread that keeps the segments of one slot: compresses complete ones, makes the indexes, and says which segments may go. It
// has a low priority: calls go first.
import { rmSync, statSync } from 'node:fs'
import { setPriority } from 'node:os'
import { dirname } from 'node:path'
import { compressSegment, draftFile } from '../../audit/compress.ts'
import { indexFileOf, removeIndex } from '../../audit/index/index-file.ts'
import { indexSegment } from '../../audit/index/index-segment.ts'
import { diskOutlook, diskRoom, firstRecordOf, segmentFacts, sizeOf, type SegmentFacts } from '../../audit/outlook.ts'
import { auditChainsIn, compressedFile, isCompressed, isWritable, type AuditSegment } from '../../audit/places.ts'
import { removalOf } from '../../audit/retention.ts'
import { readShipped, type ShippedTo } from '../../audit/shipped.ts'
import { serveThread } from '../../platform/thread/serve.ts'
import { receivedSvid, type ReceivedSvid } from '../../platform/tls/sent-svid.ts'
import type { ShipLog } from '../audit-shipping/destination.ts'
import type { Shipper } from '../audit-shipping/shipper.ts'
import { ownSegments } from './own-segments.ts'
import { shipTo } from './ship-to.ts'
import type { KeeperData, KeeperNews, KeeperReport, KeeperTask, Removable } from './words.ts'

/** Of -20 to 19: beside a busy process it gets a tenth of a core. */
const LOW = 10
const SHIP_ON_MS = 2000
const SOME_MS = 500
/** At once: about half a second of work. */
const INDEXED_BYTES = 16 * 1024 * 1024
/** A compressed segment has a tenth of the bytes; some have more. */
const COMPRESSED_PART = 1 / 4

class NoRoomError extends Error {
  override readonly name = 'NoRoomError'
}

class Keeper {
  readonly #data: KeeperData
  readonly #log: ShipLog
  #shippers: readonly Shipper[] | undefined
  #svid: ReceivedSvid | undefined
  /** Numbers of segments that are ours. */
  readonly #own = new Set<number>()
  /** Times of first records, which never change. */
  readonly #began = new Map<string, number>()
  /** Complete segments whose index is complete, by name: compressed ones have another. */
  readonly #indexed = new Set<string>()

  constructor(data: KeeperData, log: ShipLog) {
    this.#data = data
    this.#log = log
  }

  /** What is left is shipped for a moment longer. */
  async close(): Promise<void> {
    await Promise.all((this.#shippers ?? []).map((shipper) => shipper.close(SHIP_ON_MS)))
  }

  async do(task: KeeperTask): Promise<KeeperReport | undefined> {
    if (task.kind === 'look') {
      if (task.svid !== undefined) this.#svid = receivedSvid(task.svid)
      this.#shippers ??= await this.#startShippers()
      return await this.#look(task.nowMs, this.#shippers)
    }
    for (const file of task.files) {
      const compressed = compressedFile(file)
      for (const name of [file, compressed, draftFile(compressed)]) rmSync(name, { force: true })
      removeIndex(indexFileOf(file))
    }
    return undefined
  }

  #startShippers(): Promise<Shipper[]> {
    const { shipping } = this.#data
    return Promise.all(shipping.map((where) => shipTo(where, this.#data, this.#log, () => this.#svid)))
  }

  async #look(nowMs: number, shippers: readonly Shipper[]): Promise<KeeperReport> {
    const { folder, keep, keepOfAll, full, minFree } = this.#data
    const faults: string[] = []
    const isCompressing = this.#compressSome((await ownSegments(folder, this.#own)).segments, faults)
    const { segments: own, faults: foreign } = await ownSegments(folder, this.#own)
    faults.push(...foreign)
    const isIndexing = await this.#indexSome(own, faults)
    const segments = await segmentFacts(own, this.#began)
    const shippedSeq = await this.#shippedSeq(faults)
    // What waits to be shipped is kept.
    const waits = shippedSeq !== undefined && shippedSeq < (segments.at(-1)?.firstSeq ?? 1) - 1
    const all = [...segments, ...(await segmentFacts(this.#others(), this.#began))]
    const disk = diskOutlook(folder, all, { minFree, keep: waits ? undefined : keepOfAll, nowMs })
    const removal = removalOf(segments, disk, { keep, full, nowMs, shippedSeq })
    const removable = removal && (await this.#removable(segments.slice(0, removal.count + 1), removal.reason))
    const shipping = await Promise.all(shippers.map((shipper) => shipper.standing()))
    const about = { bytes: sizeOf(segments), oldestMs: segments[0]?.beganMs, segments: segments.length }
    return { disk, ...about, shipping, removable, faults, more: isCompressing || isIndexing }
  }

  /** The segments of the other slots. */
  #others(): AuditSegment[] {
    const { folder } = this.#data
    return auditChainsIn(dirname(folder)).flatMap(({ place, segments }) => (place === folder ? [] : segments))
  }

  /** What all targets have; undefined: there is none. */
  async #shippedSeq(faults: string[]): Promise<number | undefined> {
    const seqs = await Promise.all(this.#data.shipping.map(({ to }) => this.#shippedTo(to, faults)))
    return seqs.length === 0 ? undefined : Math.min(...seqs)
  }

  /** 0 when it is not known: then nothing counts as shipped. */
  async #shippedTo(to: ShippedTo, faults: string[]): Promise<number> {
    try {
      return (await readShipped(this.#data.folder, to))?.seq ?? 0
    } catch (cause: unknown) {
      faults.push(`what is shipped cannot be read: ${messageOf(cause)}`)
      return 0
    }
  }

  /** For about half a second, oldest segment first. @returns whether there may be more */
  #compressSome(segments: readonly AuditSegment[], faults: string[]): boolean {
    const endMs = performance.now() + SOME_MS
    while (this.#compressOne(segments, faults)) if (performance.now() >= endMs) return true
    return false
  }

  /** @returns whether there was one */
  #compressOne(segments: readonly AuditSegment[], faults: string[]): boolean {
    for (const { file } of segments.slice(0, -1)) {
      const stat = isCompressed(file) ? undefined : statSync(file, { throwIfNoEntry: false })
      if (stat === undefined || isWritable(stat)) continue
      try {
        this.#needRoom('compressed', stat.size * COMPRESSED_PART, 0)
        compressSegment(file)
        return true
      } catch (cause: unknown) {
        faults.push(
          cause instanceof NoRoomError ? cause.message : `${file} could not be compressed: ${messageOf(cause)}`,
        )
        if (cause instanceof NoRoomError) return false
      }
    }
    return false
  }

  /** Extends the indexes, oldest segment first, for about half a second. @returns whether there is more */
  async #indexSome(segments: readonly AuditSegment[], faults: string[]): Promise<boolean> {
    for (const [at, { file }] of segments.entries()) {
      if (this.#indexed.has(file)) continue
      const isClosed = at < segments.length - 1
      const options = { isClosed, budgetBytes: INDEXED_BYTES, minBytes: INDEXED_BYTES, before: segments.slice(0, at) }
      try {
        this.#needRoom('indexed', INDEXED_BYTES, this.#minFreeBytes())
        const { records, isComplete } = await indexSegment(file, options)
        if (isComplete && isClosed) this.#indexed.add(file)
        if (records > 0) return !isComplete || isClosed
      } catch (cause: unknown) {
        faults.push(cause instanceof NoRoomError ? cause.message : `${file} could not be indexed: ${messageOf(cause)}`)
        if (cause instanceof NoRoomError) return false
      }
    }
    return false
  }

  /** The last room is for records. @throws {NoRoomError} */
  #needRoom(done: string, bytes: number, besideBytes: number): void {
    const { folder, minFree } = this.#data
    const { freeBytes } = diskRoom(folder, minFree)
    if (freeBytes - bytes < besideBytes) throw new NoRoomError(`no segment is ${done}: too little of the disk is free`)
  }

  #minFreeBytes(): number {
    return diskRoom(this.#data.folder, this.#data.minFree).minFreeBytes
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

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

serveThread<KeeperData, KeeperTask, KeeperReport | undefined, KeeperNews>((data, tell) => {
  // Of this thread alone: on Linux each thread has its own.
  setPriority(0, LOW)
  const say =
    (level: KeeperNews['level']) =>
    (fields: object, message: string): void =>
      tell({ level, fields, message })
  const keeper = new Keeper(data, { info: say('info'), warn: say('warn') })
  return { answer: (task) => keeper.do(task), close: () => keeper.close() }
})
