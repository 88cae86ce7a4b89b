// Opens the audit log: creates its folder, takes its lock, repairs what a crash left, and starts the group commit.
import { fstatSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { isoTime } from '../../core/iso-time.ts'
import type { FileLeftReason } from '../../core/file-left.ts'
import type { Logger } from '../../platform/logger.ts'
import { AuditFileError } from './audit-file-error.ts'
import type { Head } from '../../audit/chain.ts'
import { openDurableFile, type DurableFile, type Sync } from './durable-file.ts'
import { GroupCommit, type AuditLog } from './group-commit.ts'
import { lockAuditFile, type AuditLock } from './lock.ts'
import { makeFolder } from './sync-folder.ts'
import { readTail } from './tail.ts'

export type AuditLogOptions = {
  readonly file: string
  readonly sync: Sync
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
  /** Called with the reason when the log continues in a new file. */
  readonly onSegment?: (reason: FileLeftReason) => void
}

const DEFAULT_MAX_QUEUED = 10_000
const DEFAULT_MAX_WAIT_MS = 1000

/**
 * Opens (or creates, 0600 in a folder 0700) the audit file, takes its lock, removes a torn last line and records that.
 * @throws {AuditFileError} when it is in use, is not a regular file, is not an audit log, or its last record is damaged;
 * or the file system's error.
 */
export async function openAuditLog(opts: AuditLogOptions): Promise<AuditLog> {
  await makeFolder(dirname(opts.file), opts.sync)
  let lock: AuditLock | undefined
  // Messages name the configured path; the lock is on its real path, so that two names of one file share one lock.
  const open = async (): Promise<DurableFile> => {
    const file = await openDurableFile(opts.file, opts.sync)
    try {
      const path = realpathSync(opts.file)
      if (lock?.covers(path) !== true) {
        const next = lockAuditFile(path)
        lock?.free()
        lock = next
      }
      return file
    } catch (cause: unknown) {
      await file.close()
      throw cause
    }
  }
  try {
    const file = await open()
    const { head, tornBytes } = await repairTail(file, opts.file)
    const { maxQueued = DEFAULT_MAX_QUEUED, maxWaitMs = DEFAULT_MAX_WAIT_MS } = opts
    const monotonic = opts.monotonic ?? performance.now.bind(performance)
    const reopen = async (last: Head): Promise<DurableFile> => {
      await makeFolder(dirname(opts.file), opts.sync)
      return continued(await open(), opts.file, last)
    }
    const unlock = (): void => lock?.free()
    const audit = new GroupCommit({ ...opts, monotonic, file, head, maxQueued, maxWaitMs, reopen, unlock })
    if (tornBytes > 0) await reportRepair(opts, audit, tornBytes)
    return audit
  } catch (cause: unknown) {
    lock?.free()
    throw cause
  }
}

/** A new file must be empty, or a copy that ends with our last record; any other file is left unchanged. */
async function continued(file: DurableFile, path: string, head: Head): Promise<DurableFile> {
  try {
    if (fstatSync(file.fd).size === 0) return file
    const tail = readTail(file.fd, path)
    if (tail.tornBytes === 0 && tail.head.hash === head.hash) return file
    const reason = "the file at the audit log's path does not end with our last record; move it away"
    throw new AuditFileError(`audit file ${path}: ${reason}`, { reason })
  } catch (cause: unknown) {
    await file.close()
    throw cause
  }
}

async function repairTail(file: DurableFile, path: string): Promise<{ head: Head; tornBytes: number }> {
  try {
    const { head, size, tornBytes } = readTail(file.fd, path)
    if (tornBytes > 0) await file.truncate(size)
    return { head, tornBytes }
  } catch (cause: unknown) {
    await file.close()
    throw cause
  }
}

/** If this fails, the log has an outage like any other: health reports it, and it ends by itself. */
async function reportRepair({ log, file, now }: AuditLogOptions, audit: AuditLog, tornBytes: number): Promise<void> {
  log.warn(
    { event: 'audit_repaired', file, bytes_removed: tornBytes },
    'removed an incomplete last line from the audit file',
  )
  await audit
    .append({ event: 'audit_repaired', timestamp: isoTime(now()), bytes_removed: tornBytes }, { patient: true })
    .catch((err: unknown) => log.error({ event: 'audit_repair_lost', err }, 'the repair could not be recorded'))
}
