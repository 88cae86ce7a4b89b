// Opens the audit log of a slot: creates its folder, takes its lock, repairs what a crash left, and starts the group commit.
import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { isoTime } from '../../core/iso-time.ts'
import type { SegmentReason } from '../../core/segment-reason.ts'
import type { Logger } from '../../platform/logger.ts'
import { GENESIS, openRecord, type Head } from '../../audit/chain.ts'
import { checkpointFiles, readNewestCheckpoint } from '../../audit/checkpoint-files.ts'
import { readLinesBackwards } from '../../audit/lines.ts'
import { standingOf } from '../../audit/checkpoint-trust.ts'
import type { Checkpoint } from '../../audit/checkpoint.ts'
import type { NoteSigner } from '../../audit/signed-note.ts'
import { isCompressed, isWritable, type AuditSegment } from '../../audit/places.ts'
import { AuditFileError } from './audit-file-error.ts'
import { openDurableFile, type Sync } from './durable-file.ts'
import { GroupCommit, type AuditLog } from './group-commit.ts'
import { lockAuditFolder } from './lock.ts'
import { Segments, segmentsAtStart, type SegmentLimits } from './segments.ts'
import { makeFolder } from './sync-folder.ts'
import { damaged, readTail, refuseNewer } from './tail.ts'

export type AuditLogOptions = {
  /** The folder of the slot. */
  readonly folder: string
  readonly sync: Sync
  /** Of checkpoints: with one, only those that it has signed count. */
  readonly signer?: NoteSigner | undefined
  /** When a new segment begins. Default: 256 MiB, one day. */
  readonly limits?: SegmentLimits
  readonly now: () => number
  /** To distinguish a step of the wall clock from passing time. */
  readonly monotonic?: () => number
  readonly log: Logger
  /** How many records may wait; the next one is refused. Default 10,000. */
  readonly maxQueued?: number
  /** The longest wait of one record. Default 1,000. */
  readonly maxWaitMs?: number
  /** Called for records that were dropped before they were written: the queue was full, or they waited too long. */
  readonly onDropped?: (count: number) => void
  /** Called for records that became durable. */
  readonly onWritten?: (count: number) => void
  /** Called for records that were lost, the dropped ones included. */
  readonly onLost?: (count: number) => void
  /** Called with the reason when the log continues in a new segment. */
  readonly onSegment?: (reason: SegmentReason) => void
  /** Called when a segment is complete. */
  readonly onSealed?: (file: string) => void
  /** Called with the last record of each write, which is durable. */
  readonly onHead?: (head: Head) => void
}

const DEFAULT_MAX_QUEUED = 10_000
const DEFAULT_MAX_WAIT_MS = 1000
const DEFAULT_LIMITS: SegmentLimits = { maxBytes: 256 * 1024 * 1024, maxAgeMs: 86_400_000 }

/**
 * Takes the lock of the folder (created with 0700), removes a torn last line and records that, and begins a new segment.
 * @throws {AuditFileError} when it is in use, a segment is not a regular file or not an audit log, or the last record is damaged;
 * or the file system's error.
 */
export async function openAuditLog(opts: AuditLogOptions): Promise<AuditLog> {
  const { folder, sync, log } = opts
  await makeFolder(folder, sync)
  let lock = lockAuditFolder(folder)
  const guard = (): void => {
    if (lock.isHeld()) return
    const next = lockAuditFolder(folder)
    lock.free()
    lock = next
  }
  try {
    const segments = await segmentsAtStart(folder, sync)
    const { head, tornBytes, left } = afterCheckpoint(opts, await headAtStart(segments, sync))
    const { maxQueued = DEFAULT_MAX_QUEUED, maxWaitMs = DEFAULT_MAX_WAIT_MS, limits = DEFAULT_LIMITS } = opts
    const monotonic = opts.monotonic ?? performance.now.bind(performance)
    const written = new Segments({
      ...limits,
      folder,
      sync,
      monotonic,
      guard,
      onSealed: (file) => opts.onSealed?.(file),
      onFault: (err, file) =>
        log.warn({ event: 'audit_seal_failed', err, file }, 'a complete audit segment could not be made read-only'),
    })
    await written.begin(head)
    const unlock = (): void => lock.free()
    const audit = new GroupCommit({ ...opts, monotonic, segments: written, head, left, maxQueued, maxWaitMs, unlock })
    if (tornBytes > 0) await reportRepair(opts, audit, tornBytes)
    return audit
  } catch (cause: unknown) {
    lock.free()
    throw cause
  }
}

/**
 * If the log is behind its own newest checkpoint, records were cut off or an older copy was restored: the chain goes on after the
 * checkpoint, so that no number stands for two records, and says so.
 */
function afterCheckpoint(
  { folder, signer }: Pick<AuditLogOptions, 'folder' | 'signer'>,
  { head, tornBytes }: Start,
): Start & { left: SegmentReason | undefined } {
  const newest = newestCheckpoint(folder, signer)
  if (newest !== undefined && newest.seq > head.seq) {
    return { head: { seq: newest.seq, hash: newest.hash }, tornBytes, left: 'rolled_back' }
  }
  return { head, tornBytes, left: head.seq === 0 ? undefined : 'started' }
}

/** Who has a key believes only what it has signed: anybody who can write to the folder could move the chain otherwise. */
function isOurs(checkpoint: Checkpoint, signer: NoteSigner | undefined): boolean {
  if (signer === undefined) return true
  const { verifier } = signer
  return standingOf(checkpoint, [(name) => (name === verifier.name ? verifier : undefined)]).standing === 'signed'
}

/** @throws {AuditFileError} when it cannot be read: then nobody knows whether records are missing */
function newestCheckpoint(folder: string, signer: NoteSigner | undefined): Head | undefined {
  try {
    const newest = readNewestCheckpoint(folder)
    return newest === undefined || isOurs(newest, signer) ? newest : undefined
  } catch (cause: unknown) {
    const { code = String(cause) } = cause as NodeJS.ErrnoException
    const reason = `the checkpoint beside the audit log cannot be read (${code}); move it away`
    throw new AuditFileError(`${checkpointFiles(folder).newest}: ${reason}`, { cause, reason })
  }
}

type Start = { readonly head: Head; readonly tornBytes: number }

/** The last record of the chain. The newest segment is repaired and sealed; one that has no whole record is removed. */
async function headAtStart(segments: readonly AuditSegment[], sync: Sync): Promise<Start> {
  let removed = 0
  for (const { file } of segments.toReversed()) {
    const { head, tornBytes } = await headOf(file, sync)
    removed += tornBytes
    if (head !== undefined) return { head, tornBytes: removed }
    rmSync(file)
  }
  return { head: GENESIS, tornBytes: removed }
}

/** Undefined: the segment has no whole record. */
async function headOf(file: string, sync: Sync): Promise<Partial<Start> & Pick<Start, 'tornBytes'>> {
  if (isCompressed(file)) return { head: await lastOf(file), tornBytes: 0 }
  if (!isWritable(statSync(file))) return { head: sealedHead(file), tornBytes: 0 }
  const durable = await openDurableFile(file, sync)
  try {
    const { head, size, tornBytes } = readTail(durable.fd, file)
    if (tornBytes > 0) await durable.truncate(size)
    if (size > 0) await durable.makeReadOnly()
    return { ...(size > 0 && { head }), tornBytes }
  } finally {
    await durable.close()
  }
}

/** @throws {AuditFileError} when it does not end with a whole record: it did once */
function sealedHead(file: string): Head {
  const fd = openSync(file, 'r')
  try {
    const { head, tornBytes } = readTail(fd, file)
    if (tornBytes === 0 && head.seq > 0) return head
    throw damaged(file, 'incomplete')
  } finally {
    closeSync(fd)
  }
}

async function lastOf(file: string): Promise<Head> {
  let last: string | undefined
  try {
    for await (last of readLinesBackwards(file)) break
  } catch (cause: unknown) {
    if ('syscall' in (cause as object)) throw cause
    throw damaged(file, 'it cannot be decompressed')
  }
  refuseNewer(file, last ?? '')
  const record = last === undefined ? 'empty' : openRecord(last)
  if (typeof record === 'string') throw damaged(file, record)
  return { seq: record.seq, hash: record.hash }
}

/** If this fails, the log has an outage like any other: health reports it, and it ends by itself. */
async function reportRepair({ log, folder, now }: AuditLogOptions, audit: AuditLog, tornBytes: number): Promise<void> {
  log.warn(
    { event: 'audit_repaired', folder, bytes_removed: tornBytes },
    'removed an incomplete last line from the audit log',
  )
  await audit
    .append({ event: 'audit_repaired', timestamp: isoTime(now()), bytes_removed: tornBytes }, { patient: true })
    .catch((err: unknown) => log.error({ event: 'audit_repair_lost', err }, 'the repair could not be recorded'))
}
