// One writer per chain. The lock is SQLite's exclusive lock (fcntl) on an empty file in its folder: the kernel releases it
// however the process ends, so a stale lock cannot exist. An fcntl lock is lost when any descriptor of the file is closed,
// so nothing else in this process may open and close the lock file.
import { closeSync, openSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { AuditFileError } from './audit-file-error.ts'

/** Keep a reference to it: a lock that is garbage-collected is released. */
type AuditLock = {
  /** No longer after its lock file was moved or deleted. */
  readonly isHeld: () => boolean
  readonly free: () => void
}

const SQLITE_BUSY = 5

/**
 * Takes the lock of a slot's folder without waiting. @throws {AuditFileError} when another controller, or another log in this
 * process, holds it.
 */
export function lockAuditFolder(folder: string): AuditLock {
  return lock(join(folder, 'writer.lock'), `audit folder ${folder}`)
}

/** The same for the log of an older version, which was one file. */
export function lockAuditFile(file: string): AuditLock {
  return lock(`${file}.lock`, `audit file ${file}`)
}

function lock(lockFile: string, what: string): AuditLock {
  createPrivate(lockFile)
  const database = openLock(lockFile, what)
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (cause: unknown) {
    database.close()
    if ((cause as { errcode?: number }).errcode !== SQLITE_BUSY) throw cause
    const reason = 'another controller writes to the audit log'
    const message = `${what} is in use: another controller writes to it (lock file: ${lockFile})`
    throw new AuditFileError(message, { cause, reason })
  }
  const inode = inodeOf(lockFile)
  return {
    isHeld: () => inodeOf(lockFile) === inode,
    free() {
      if (database.isOpen) database.close()
    },
  }
}

function openLock(lockFile: string, what: string): DatabaseSync {
  try {
    return new DatabaseSync(lockFile, { timeout: 0 })
  } catch (cause: unknown) {
    const reason = 'the lock file of the audit log cannot be opened'
    const cure = 'make it writable for the user of the controller, or remove it while no controller runs'
    throw new AuditFileError(`${what}: its lock file ${lockFile} cannot be opened; ${cure}`, { cause, reason })
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
