// The file of the store. A file that is not a store, or is damaged, is refused and left as it is: without the keys in it,
// requests that were executed could run again. The operator decides what to do with it.
import { closeSync, existsSync, fsyncSync, openSync, readSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { FORMATS, otherFormat } from '../../core/formats.ts'

/** Why the file cannot be used. `reason` names no path: it is for health; `message` is for the operator. */
export class StoreFileError extends Error {
  override readonly name = 'StoreFileError'
  readonly reason: string

  constructor(file: string, reason: string, cure: string) {
    super(`${file}: ${reason}; ${cure}`)
    this.reason = reason
  }
}

/** "Crnk", in the header of the file. */
const APPLICATION_ID = 0x43726e6b
const FORMAT = FORMATS.idempotency_store
/** Another process may be writing. */
const BUSY_MS = 2000
const MAX_JOURNAL_BYTES = 64 * 1024 * 1024
const MAGIC = 'SQLite format 3\0'
const APPLICATION_ID_AT = 68
const HEADER_BYTES = 100
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

// Keys and answers apart, so that a change of state does not rewrite an answer. The partial indexes are small: only answers
// that can be dropped, and keys that a process holds, are in them.
const SCHEMA = `
  CREATE TABLE keys (
    id BLOB PRIMARY KEY, caller TEXT NOT NULL, fingerprint BLOB NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    decision_id TEXT NOT NULL, used_ms INTEGER NOT NULL, expires_ms INTEGER, answer_bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE answers (id BLOB PRIMARY KEY, answer TEXT NOT NULL, body BLOB NOT NULL) STRICT;
  CREATE TABLE owners (owner TEXT PRIMARY KEY, process TEXT NOT NULL) STRICT;
  CREATE INDEX keys_by_end ON keys (expires_ms) WHERE expires_ms IS NOT NULL;
  CREATE INDEX keys_held ON keys (owner) WHERE state = 'in_flight';
  CREATE INDEX answers_by_use ON keys (used_ms) WHERE answer_bytes > 0;
  CREATE INDEX answers_of_caller_by_use ON keys (caller, used_ms) WHERE answer_bytes > 0;`

/** Opens the store, and creates it if there is no file. @throws {StoreFileError | Error} */
export function openStoreFile(file: string): DatabaseSync {
  const size = statSync(file, { throwIfNoEntry: false })?.size
  if (size === undefined) createStoreFile(file)
  else refuseForeign(file)
  const database = new DatabaseSync(file, { timeout: BUSY_MS })
  try {
    // A commit is on the disk when it returns.
    database.exec(`PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${MAX_JOURNAL_BYTES}`)
    const { user_version: format } = database.prepare('PRAGMA user_version').get() as { user_version: number }
    if (format !== FORMAT) {
      const cure = 'start the version that wrote it, or move the file away, which forgets the keys in it'
      throw new StoreFileError(file, `the store ${otherFormat(format, FORMAT)}`, cure)
    }
    return database
  } catch (cause: unknown) {
    database.close()
    throw cause
  }
}

/** Complete from its first moment: made under another name, then renamed. */
function createStoreFile(file: string): void {
  // The journal of a file that was moved or deleted without it: SQLite would write it into the new one.
  if (existsSync(`${file}-wal`)) renameSync(`${file}-wal`, `${file}-wal.aside`)
  const unfinished = `${file}.new`
  for (const part of ['', '-wal', '-shm']) rmSync(unfinished + part, { force: true })
  closeSync(openSync(unfinished, 'wx', 0o600))
  const database = new DatabaseSync(unfinished)
  try {
    database.exec(`PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = ${APPLICATION_ID};`)
    database.exec(`PRAGMA user_version = ${FORMAT}; PRAGMA journal_mode = WAL; BEGIN; ${SCHEMA}; COMMIT`)
  } finally {
    database.close()
  }
  renameSync(unfinished, file)
  // The new name, too, must be there after a loss of power.
  const folder = openSync(dirname(file), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Reads the header itself: SQLite would write to a foreign database. */
function refuseForeign(file: string): void {
  const header = Buffer.alloc(HEADER_BYTES)
  const descriptor = openSync(file, 'r')
  try {
    readSync(descriptor, header, 0, HEADER_BYTES, 0)
  } finally {
    closeSync(descriptor)
  }
  const isOurs = header.toString('latin1', 0, MAGIC.length) === MAGIC
  if (isOurs && header.readUInt32BE(APPLICATION_ID_AT) === APPLICATION_ID) return
  const cure = 'move it away; a store that was damaged loses the keys in it'
  throw new StoreFileError(file, 'the file is not a store of idempotency keys', cure)
}

/** Whether the path still leads to this file. */
export function inodeOf(file: string): string | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

/** An error while the store was used, as a reason without a path and a message for the operator. */
export function storeFault(file: string, cause: unknown): { readonly reason: string; readonly message: string } {
  if (cause instanceof StoreFileError) return cause
  const { errcode, code } = cause as { errcode?: number; code?: string }
  if (errcode === SQLITE_CORRUPT || errcode === SQLITE_NOTADB) {
    return new StoreFileError(file, 'the store is damaged', 'move it away, which forgets the keys in it')
  }
  const what = errcode === undefined ? (code ?? 'an unknown error') : `SQLite error ${errcode}`
  return new StoreFileError(file, `the store cannot be used: ${what}`, 'the controller tries again every second')
}
