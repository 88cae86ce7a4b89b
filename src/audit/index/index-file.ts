// The index of one segment: an SQLite file beside it, `<first-seq>.index`. It is made from the segment and never the truth: a
// file that is damaged, of another version or of another segment is removed and made again.
import { closeSync, fchownSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { FORMATS } from '../../core/formats.ts'

/** How far an index is made. Positions are those of the segment's lines. */
export type Progress = {
  /** All lines before this position are indexed. */
  readonly builtTo: number
  /** Where the last record begins, its hash and its number; -1, '' and 0 without one. */
  readonly lastAt: number
  readonly lastHash: string
  readonly lastSeq: number
  readonly records: number
  /** The limits of the times of all records, in Unix milliseconds. */
  readonly minTime: number
  readonly maxTime: number
  /** The boot of the machine in which it was written, until it is sealed: until then nothing makes sure that it is on disk. */
  readonly boot: string
  /** Not '': all of a closed segment is indexed; what its file was like when somebody compared it with the index. */
  readonly sealedStamp: string
}

/** How far an index without a record is made. */
const NOTHING: Progress = {
  builtTo: 0,
  lastAt: -1,
  lastHash: '',
  lastSeq: 0,
  records: 0,
  minTime: 0,
  maxTime: 0,
  boot: '',
  sealedStamp: '',
}

const VERSION = FORMATS.audit_index
const SUFFIX = '.index'
/** Each file of an index: SQLite keeps a journal while it writes. */
const FILES = ['', '-journal', '-wal', '-shm']
const SEGMENT = /\.jsonl(?:\.zst)?$/
const TIMEOUT_MS = 5000
const BUSY = 5
/** PERM, READONLY, IOERR, FULL, CANTOPEN */
const NO_WRITE = new Set([3, 8, 10, 13, 14])
/** BUSY, IOERR, FULL: the index itself may be good. */
const KEPT = new Set([BUSY, 10, 13])
const NO_WRITE_FILES = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'EISDIR', 'ERR_FS_EISDIR'])

const SCHEMA = `
  CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1), built_to INTEGER NOT NULL, last_at INTEGER NOT NULL, last_hash TEXT NOT NULL,
    last_seq INTEGER NOT NULL, records INTEGER NOT NULL, min_time INTEGER NOT NULL,
    max_time INTEGER NOT NULL, boot TEXT NOT NULL, sealed_stamp TEXT NOT NULL) STRICT;
  CREATE TABLE term (id INTEGER PRIMARY KEY, trait TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (trait, text)) STRICT;
  CREATE TABLE shape (
    id INTEGER PRIMARY KEY, event INTEGER NOT NULL, who INTEGER NOT NULL, caps INTEGER NOT NULL, decision INTEGER NOT NULL,
    outcome INTEGER NOT NULL, workers INTEGER NOT NULL, status INTEGER NOT NULL, texts INTEGER NOT NULL,
    base INTEGER NOT NULL, count INTEGER NOT NULL,
    UNIQUE (who, caps, event, decision, outcome, workers, status, texts, base)) STRICT;
  CREATE TABLE record (
    at INTEGER PRIMARY KEY, time INTEGER NOT NULL, shape INTEGER NOT NULL, decision INTEGER, trace INTEGER) STRICT;
  CREATE INDEX record_shape ON record (shape);
  CREATE INDEX record_decision ON record (decision) WHERE decision IS NOT NULL;
  CREATE INDEX record_trace ON record (trace) WHERE trace IS NOT NULL;
  PRAGMA user_version = ${VERSION};`

/** Where the index of a segment is. */
export function indexFileOf(segmentFile: string): string {
  return segmentFile.replace(SEGMENT, '') + SUFFIX
}

/** Removes an index: with its segment, or because it cannot be used. */
export function removeIndex(indexFile: string): void {
  for (const suffix of FILES) rmSync(indexFile + suffix, { force: true })
}

/** An index for reading; undefined when there is none or it is damaged. @throws when another process writes for too long */
export function openIndexToRead(indexFile: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(indexFile, { readOnly: true, timeout: TIMEOUT_MS })
    if (versionOf(database) === VERSION) return database
  } catch (cause: unknown) {
    database?.close()
    if (isBusy(cause)) throw cause
    return undefined
  }
  database.close()
  return undefined
}

/**
 * An index for writing, which is made (0600) when there is none or it is damaged. @param owner a file whose owner it gets, when
 * root makes it @throws an error that `isNotWritable` knows, or when another process writes for too long
 */
export function openIndexToWrite(indexFile: string, owner: string): DatabaseSync {
  try {
    return openOrCreate(indexFile, owner)
  } catch (cause: unknown) {
    if (!isReplaceable(cause)) throw cause
    // Damaged, or made by another user: the folder says whether we may replace it.
    removeIndex(indexFile)
    return openOrCreate(indexFile, owner)
  }
}

export function readProgress(database: DatabaseSync): Progress {
  const row = database.prepare('SELECT * FROM progress').get()
  if (row === undefined) return NOTHING
  return {
    builtTo: Number(row['built_to']),
    lastAt: Number(row['last_at']),
    lastHash: String(row['last_hash']),
    lastSeq: Number(row['last_seq']),
    records: Number(row['records']),
    minTime: Number(row['min_time']),
    maxTime: Number(row['max_time']),
    boot: String(row['boot']),
    sealedStamp: String(row['sealed_stamp']),
  }
}

export function writeProgress(database: DatabaseSync, made: Progress): void {
  const values = [made.builtTo, made.lastAt, made.lastHash, made.lastSeq, made.records]
  database
    .prepare('INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
    .run(...values, made.minTime, made.maxTime, made.boot, made.sealedStamp)
}

/** Runs all of `run` or nothing, as the only writer. */
export function together<T>(database: DatabaseSync, run: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = run()
    database.exec('COMMIT')
    return result
  } catch (cause: unknown) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw cause
  }
}

/**
 * The number by which an index knows an id: 48 of its bits, as SQLite keeps them in 6 bytes. Others may have the same: the line
 * decides. Undefined for what is no id of 12 hex digits or more.
 */
export function keyOf(id: unknown): number | undefined {
  if (typeof id !== 'string' || !/^[\da-f-]*[\da-f]{12}$/.test(id)) return undefined
  return Number.parseInt(id.slice(-12), 16) - 2 ** 47
}

/** The present boot of the machine; '' where it cannot be known. */
export function currentBoot(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}

/** Another process writes to the index, for longer than we wait. */
function isBusy(cause: unknown): boolean {
  return sqliteCodeOf(cause) === BUSY
}

/** There is no right or no room to write an index here. */
export function isNotWritable(cause: unknown): boolean {
  const { code } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  return NO_WRITE.has(sqliteCodeOf(cause) ?? -1) || NO_WRITE_FILES.has(code ?? '')
}

/** An error of SQLite: the index is damaged, busy, or cannot be written. */
export function isOfSqlite(cause: unknown): boolean {
  return sqliteCodeOf(cause) !== undefined
}

function openOrCreate(indexFile: string, owner: string): DatabaseSync {
  createPrivate(indexFile, owner)
  const database = new DatabaseSync(indexFile, { timeout: TIMEOUT_MS })
  try {
    // No sync while it grows, to leave the disk to the audit log: after a crash of the machine it is made again.
    database.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;')
    together(database, () => {
      const version = versionOf(database)
      if (version === 0) database.exec(SCHEMA)
      else if (version !== VERSION) throw new OtherVersionError('an index of another version')
    })
    return database
  } catch (cause: unknown) {
    database.close()
    throw cause
  }
}

class OtherVersionError extends Error {
  override readonly name = 'OtherVersionError'
}

/** The index cannot be used, and another one can take its place. */
export function isReplaceable(cause: unknown): boolean {
  const code = sqliteCodeOf(cause)
  return cause instanceof OtherVersionError || (code !== undefined && !KEPT.has(code))
}

function versionOf(database: DatabaseSync): unknown {
  return database.prepare('PRAGMA user_version').get()?.['user_version']
}

/** SQLite would create it readable for all. Closes only a file that it has just created, so it frees no lock of SQLite. */
function createPrivate(indexFile: string, owner: string): void {
  try {
    const descriptor = openSync(indexFile, 'wx', 0o600)
    try {
      const of = statSync(owner, { throwIfNoEntry: false })
      if (process.geteuid?.() === 0 && of !== undefined && of.uid !== 0) fchownSync(descriptor, of.uid, of.gid)
    } finally {
      closeSync(descriptor)
    }
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
  }
}

function sqliteCodeOf(cause: unknown): number | undefined {
  // Extended result codes keep the primary one in their low byte.
  return cause instanceof Error && 'errcode' in cause ? Number(cause.errcode) & 0xff : undefined
}
