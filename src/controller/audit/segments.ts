// On the path of every call. The segments of one chain, of which the newest is written. A segment is never written again once the
// next one has a record; a crash at any point leaves the newest empty, torn or whole, and the next start goes on from there.
import { lstatSync, rmSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Head } from '../../audit/chain.ts'
import { firstRecordOf } from '../../audit/outlook.ts'
import { isCompressed, isWritable, segmentFile, segmentsIn, type AuditSegment } from '../../audit/places.ts'
import type { RotationReason } from '../../core/segment-reason.ts'
import { AuditFileError } from './audit-file-error.ts'
import { openDurableFile, type DurableFile, type Sync } from './durable-file.ts'
import { SegmentLeftError } from './segment-left.ts'
import { makeFolder, syncFolder } from './sync-folder.ts'

export type SegmentLimits = { readonly maxBytes: number; readonly maxAgeMs: number }

type SegmentsOptions = SegmentLimits & {
  /** The folder of the slot. */
  readonly folder: string
  readonly sync: Sync
  /** The clock of the age, in ms. */
  readonly monotonic: () => number
  /** Called before a segment is opened. @throws {AuditFileError} when another controller writes there */
  readonly guard: () => void
  /** A segment is complete and read-only. */
  readonly onSealed: (file: string) => void
  readonly onFault: (err: unknown, file: string) => void
}

const READ_ONLY = 0o400

/** `isLeft`: somebody has changed it, so that it is neither written nor sealed. */
type Written = {
  readonly firstSeq: number
  readonly path: string
  readonly file: DurableFile
  isLeft: boolean
}

export class Segments {
  readonly #opts: SegmentsOptions
  #current: Written | undefined
  /** The one before, which is sealed once the current one has a record. */
  #before: Written | undefined
  #openedMs = 0
  #sealing: Promise<void> = Promise.resolve()

  constructor(opts: SegmentsOptions) {
    this.#opts = opts
  }

  /** Why the next record should begin a new segment; undefined: it should not. */
  due(): RotationReason | undefined {
    const { maxBytes, maxAgeMs, monotonic } = this.#opts
    const size = this.#current?.file.size() ?? 0
    if (size === 0) return undefined
    if (size >= maxBytes) return 'size'
    return monotonic() - this.#openedMs >= maxAgeMs ? 'age' : undefined
  }

  /**
   * Opens the segment that begins after `head`, unless it is the current one.
   * @throws {AuditFileError} when there is another file at its path
   */
  async begin(head: Head): Promise<void> {
    const { folder, sync, guard, monotonic } = this.#opts
    const firstSeq = head.seq + 1
    if (this.#current?.firstSeq === firstSeq && !this.#current.isLeft) return
    await makeFolder(folder, sync)
    guard()
    const path = segmentFile(folder, firstSeq)
    refuseForeign(path)
    const file = await openDurableFile(path, sync)
    await this.#leave()
    this.#current = { firstSeq, path, file, isLeft: false }
    this.#openedMs = monotonic()
  }

  /** @throws {SegmentLeftError} when somebody changed the segment; then `begin` the next one. */
  async append(bytes: Buffer): Promise<void> {
    const current = this.#current
    if (current === undefined) throw new Error('there is no segment')
    try {
      await current.file.append(bytes)
    } catch (cause: unknown) {
      if (cause instanceof SegmentLeftError) current.isLeft = true
      throw cause
    }
    if (this.#before !== undefined) this.#seal()
  }

  /** Seals the current segment. An empty one is removed: the next start would begin the same one. */
  async close(): Promise<void> {
    if (this.#before !== undefined) this.#seal()
    await this.#sealing
    const last = this.#current
    this.#current = undefined
    if (last === undefined) return
    if (last.isLeft || last.file.size() === 0) await last.file.close()
    else await seal(last.file)
    if (last.file.size() === 0) removeEmpty(last.path)
  }

  async #leave(): Promise<void> {
    const left = this.#current
    this.#current = undefined
    if (left === undefined) return
    if (left.isLeft || left.file.size() === 0) await left.file.close()
    else this.#before = left
  }

  /** Behind the back of the calls, which do not wait for it. */
  #seal(): void {
    const { onSealed, onFault } = this.#opts
    const { file, path } = this.#before ?? {}
    this.#before = undefined
    if (file === undefined || path === undefined) return
    this.#sealing = this.#sealing.then(() =>
      seal(file).then(
        () => onSealed(path),
        (err: unknown) => onFault(err, path),
      ),
    )
  }
}

/**
 * The segments of a folder at a start, without a last one that a crash left empty. Older ones are sealed, if a crash prevented
 * that. Throws the file system's error.
 */
export async function segmentsAtStart(folder: string, sync: Sync): Promise<readonly AuditSegment[]> {
  const segments = segmentsIn(folder)
  for (let last = segments.at(-1); last !== undefined && isEmpty(last.file); last = segments.at(-1)) {
    rmSync(last.file)
    segments.pop()
  }
  refuseLink(segments.at(-1))
  for (const segment of segments.slice(0, -1)) await sealOlder(segment)
  if (sync === 'fsync' && segments.length > 0) await syncFolder(folder)
  return segments
}

/** Only a segment of ours. */
async function sealOlder({ file, firstSeq }: AuditSegment): Promise<void> {
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (stat?.isFile() !== true || !isWritable(stat)) return
  const first = await firstRecordOf(file).catch(() => undefined)
  if (first?.seq === firstSeq) await chmod(file, READ_ONLY)
}

/** @throws {AuditFileError} for a link: what it leads to may be anything */
function refuseLink(newest: AuditSegment | undefined): void {
  if (newest === undefined || !lstatSync(newest.file).isSymbolicLink()) return
  const reason = `the newest audit segment, ${basename(newest.file)}, is a link; put the file itself there, or move it away`
  throw new AuditFileError(`audit folder ${dirname(newest.file)}: ${reason}`, { reason })
}

async function seal(file: DurableFile): Promise<void> {
  try {
    await file.makeReadOnly()
  } finally {
    await file.close()
  }
}

function isEmpty(file: string): boolean {
  const stat = lstatSync(file)
  return !isCompressed(file) && stat.isFile() && stat.size === 0
}

function removeEmpty(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat?.isFile() === true && stat.size === 0) rmSync(path, { force: true })
}

/** @throws {AuditFileError} when the path leads to anything but an empty file */
function refuseForeign(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined || (stat.isFile() && stat.size === 0)) return
  const reason = `the file at the path of the next audit segment, ${basename(path)}, is not ours; move it away`
  throw new AuditFileError(`audit folder ${dirname(path)}: ${reason}`, { reason })
}
