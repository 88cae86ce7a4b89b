// Opens the audit log: its folder, its lock, the repair of what a crash left, and the group commit that writes from there.
import { existsSync, mkdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Logger } from '../../platform/logger.ts'
import type { Head } from './chain.ts'
import { openDurableFile, type DurableFile, type Sync } from './durable-file.ts'
import { isoTime } from './event.ts'
import { GroupCommit, type AuditLog } from './group-commit.ts'
import { lockAuditFile } from './lock.ts'
import { readTail } from './tail.ts'

export type AuditLogOptions = {
  readonly file: string
  readonly sync: Sync
  readonly now: () => number
  readonly log: Logger
  /** Records that may wait; the next one is refused. Default 10,000. */
  readonly maxQueued?: number
  /** Longest wait of one record. Default 1,000. */
  readonly maxWaitMs?: number
  /** Told of records that were given up before they were written: the queue was full, or they waited too long. */
  readonly onDropped?: (count: number) => void
}

const DEFAULT_MAX_QUEUED = 10_000
const DEFAULT_MAX_WAIT_MS = 1000

/**
 * Opens (or creates, 0600 in a folder 0700) the audit file, takes its lock, cuts off a torn last line and records that.
 * @throws {AuditFileError} when it is in use, is not a regular file, or its last record is damaged; or the file system's error.
 */
export async function openAuditLog(opts: AuditLogOptions): Promise<AuditLog> {
  const path = prepareFolder(opts.file)
  const unlock = lockAuditFile(path)
  try {
    const file = await openDurableFile(path, opts.sync)
    const { head, tornBytes } = await repairTail(file, path)
    const { now, log, maxQueued = DEFAULT_MAX_QUEUED, maxWaitMs = DEFAULT_MAX_WAIT_MS, onDropped } = opts
    const audit = new GroupCommit({ file, head, now, log, maxQueued, maxWaitMs, onDropped, unlock })
    if (tornBytes > 0) await reportRepair(opts, audit, tornBytes)
    return audit
  } catch (cause: unknown) {
    unlock()
    throw cause
  }
}

/** Its real path, so that two names of one file share one lock. */
function prepareFolder(file: string): string {
  if (existsSync(file)) return realpathSync(file)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  return join(realpathSync(dirname(file)), basename(file))
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

/** Should this fail, the log has an outage like any other: it is told by health and ends by itself. */
async function reportRepair({ log, file, now }: AuditLogOptions, audit: AuditLog, tornBytes: number): Promise<void> {
  log.warn({ event: 'audit_repaired', file, bytes_removed: tornBytes }, 'cut off a torn last line of the audit file')
  await audit
    .append({ event: 'audit_repaired', timestamp: isoTime(now()), bytes_removed: tornBytes })
    .catch((err: unknown) => log.error({ event: 'audit_repair_lost', err }, 'the repair could not be recorded'))
}
