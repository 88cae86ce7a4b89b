// Older versions had one audit log, `audit.jsonl` in the state folder. A start makes it the log of slot 0, and its chain goes on.
import { closeSync, lstatSync, openSync, realpathSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { auditDirIn, oldAuditFile, segmentFile, segmentsIn, slotFolder } from '../../audit/places.ts'
import { openRecord } from '../../audit/chain.ts'
import { readLines } from '../../audit/lines.ts'
import type { Logger } from '../../platform/logger.ts'
import { AuditFileError } from './audit-file-error.ts'
import type { Sync } from './durable-file.ts'
import { lockAuditFile, lockAuditFolder } from './lock.ts'
import { makeFolder, syncFolder } from './sync-folder.ts'
import { readTail } from './tail.ts'

type TakeOver = { readonly stateDir: string; readonly sync: Sync; readonly log: Logger }

/**
 * Moves the log of an older version, if there is one, under the locks of both places. A crash leaves the file at one of the two
 * places, and the next start continues from there. @throws {AuditFileError} when an older controller still writes to it, when
 * slot 0 has a log already, when the file is not an audit log, or when it cannot be moved.
 */
export async function takeOverOldLog({ stateDir, sync, log }: TakeOver): Promise<void> {
  const [from, folder] = [oldAuditFile(stateDir), slotFolder(auditDirIn(stateDir), 0)]
  if (!isLog(from)) return
  using locks = new DisposableStack()
  // The older version's lock is on the real path.
  locks.adopt(lockAuditFile(realpathSync(from)), ({ free }) => free())
  // Another start may have moved it before the lock was taken.
  if (!isLog(from)) return
  refuseSecond(from, folder)
  refuseForeign(from)
  await makeFolder(folder, sync)
  // A controller may be about to write its first record there.
  locks.adopt(lockAuditFolder(realpathSync(folder)), ({ free }) => free())
  refuseSecond(from, folder)
  const to = segmentFile(folder, await firstSeqOf(from))
  await rename(from, to).catch((cause: unknown) => {
    throw unmovable(from, to, cause)
  })
  if (sync === 'fsync') for (const place of [folder, dirname(folder), stateDir]) await syncFolder(place)
  log.info({ event: 'audit_moved', from, to }, 'the audit log of an older version is now the first segment of slot 0')
}

/** 1, unless the older version's file was rotated. */
async function firstSeqOf(file: string): Promise<number> {
  for await (const { text } of readLines(file)) {
    const record = openRecord(text)
    return typeof record === 'string' ? 1 : record.seq
  }
  return 1
}

/** An empty file is none: a start that fails leaves one. @throws {AuditFileError} for a link or a folder */
function isLog(file: string): boolean {
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (stat === undefined) return false
  if (stat.isFile()) return stat.size > 0
  const cure = 'put the file itself there to continue its chain; otherwise move it away'
  throw new AuditFileError(`audit file ${file} of an older version is not a regular file, and is not moved: ${cure}`, {
    reason: 'the audit file of an older version is not a regular file',
  })
}

/** @throws {AuditFileError} when the file does not end as an audit log does; a torn last line is repaired after the move */
function refuseForeign(file: string): void {
  const fd = openSync(file, 'r')
  try {
    readTail(fd, file)
  } finally {
    closeSync(fd)
  }
}

/** @throws {AuditFileError} when slot 0 has records */
function refuseSecond(from: string, folder: string): void {
  if (!segmentsIn(folder).some(({ file }) => (lstatSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0)) return
  const message =
    `there are two audit logs: ${from} of an older version, and ${folder}; ` +
    `each is a chain of its own: move ${from} to your archive, then start again`
  throw new AuditFileError(message, { reason: 'there is an audit log of an older version beside that of slot 0' })
}

function unmovable(from: string, to: string, cause: unknown): AuditFileError {
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
  const message = `audit file ${from} of an older version cannot be moved to ${to} (${why}): move it there while no controller runs`
  return new AuditFileError(message, { cause, reason: 'the audit file of an older version cannot be moved' })
}
