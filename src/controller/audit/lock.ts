// One writer per audit file. The lock is SQLite's exclusive lock (fcntl) on an empty file beside it: the kernel releases it
// however the process ends, so a stale lock cannot exist. An fcntl lock is lost when any descriptor of the file is closed,
// so nothing else in this process may open and close the lock file. The lock is on the path, not on the audit file: it
// covers every file that takes the path while this process runs.
import { closeSync, openSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { AuditFileError } from './audit-file-error.ts'

/** Keep a reference to it: a lock that is garbage-collected is released. */
export type AuditLock = {
  /** Whether it still protects `file`: no longer after its lock file was moved or deleted. */
  readonly covers: (file: string) => boolean
  readonly free: () => void
}

const SQLITE_BUSY = 5

/**
 * Takes the lock `<file>.lock` without waiting. @throws {AuditFileError} when another controller, or another log in this
 * process, holds it.
 */
export function lockAuditFile(file: string): AuditLock {
  const lockFile = `${file}.lock`
  createPrivate(lockFile)
  const database = new DatabaseSync(lockFile, { timeout: 0 })
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (cause: unknown) {
    database.close()
    if ((cause as { errcode?: number }).errcode !== SQLITE_BUSY) throw cause
    const reason = 'another controller writes to the audit file'
    const message = `audit file ${file} is in use: another controller writes to it (lock file: ${lockFile})`
    throw new AuditFileError(message, { cause, reason })
  }
  const inode = inodeOf(lockFile)
  return {
    covers: (other) => other === file && inodeOf(lockFile) === inode,
    free() {
      if (database.isOpen) database.close()
    },
  }
}

/** SQLite would create it readable for all. Closes only a file that it has just created: see above. */
function createPrivate(lockFile: string): void {
  try {
    closeSync(openSync(lockFile, 'wx', 0o600))
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
  }
}

function inodeOf(lockFile: string): string | undefined {
  const stat = statSync(lockFile, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}
