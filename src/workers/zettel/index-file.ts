// The SQLite index of the zettels: built from the files, and rebuilt when it is damaged or of another version. An open
// index locks the folder: a second process is refused, and the lock ends with the process.
import { rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { keyOf } from './names.ts'
import type { Stamp } from './folder.ts'
import { wikiLinks } from './wiki-links.ts'
import type { Zettel } from './zettel.ts'

export type Entry = { readonly path: string; readonly stamp: Stamp; readonly bytes: number; readonly zettel: Zettel }
export type Index = {
  readonly database: DatabaseSync
  /** The stamps by path. */
  stamps(): Map<string, Stamp>
  /** Replaces the entry for the path. False: another file has this id, and the path then has no entry. */
  put(entry: Entry): boolean
  remove(path: string): void
  /** Runs all of `run` or nothing. Its writes are visible to reads before it ends. Only for the single writer. */
  together<T>(run: () => T | Promise<T>): Promise<T>
  close(): void
}

const VERSION = 1
const BUSY = 5
const CORRUPT = 11
const NOT_ONE = 26

const SCHEMA = `
  CREATE TABLE zettel (
    number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL, bytes INTEGER NOT NULL,
    zettel_id TEXT NOT NULL, id_key TEXT NOT NULL UNIQUE, title TEXT NOT NULL, title_key TEXT NOT NULL,
    category TEXT NOT NULL, source_agent TEXT, tags TEXT NOT NULL, stored_by TEXT NOT NULL, shared INTEGER NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT);
  CREATE INDEX zettel_title ON zettel (title_key);
  CREATE INDEX zettel_owner ON zettel (stored_by, bytes);
  CREATE INDEX zettel_time ON zettel (created_at, id_key);
  CREATE TABLE tag (tag TEXT NOT NULL, zettel INTEGER NOT NULL, PRIMARY KEY (tag, zettel)) WITHOUT ROWID;
  CREATE INDEX tag_zettel ON tag (zettel);
  CREATE TABLE link (
    source INTEGER NOT NULL, position INTEGER NOT NULL, target TEXT NOT NULL, target_key TEXT NOT NULL,
    PRIMARY KEY (source, position)) WITHOUT ROWID;
  CREATE INDEX link_target ON link (target_key);
  CREATE VIRTUAL TABLE words USING fts5 (title, tags, content, tokenize = 'unicode61 remove_diacritics 2');
  PRAGMA user_version = ${VERSION};`

/** @throws {Error} of SQLite: see isBusy */
export function openIndex(file: string): Index {
  try {
    return wrap(open(file))
  } catch (cause: unknown) {
    if (!isDamaged(cause)) throw cause
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
    return wrap(open(file))
  }
}

export const isBusy = (error: unknown): boolean => sqliteCodeOf(error) === BUSY
export const isDamaged = (error: unknown): boolean => [CORRUPT, NOT_ONE].includes(sqliteCodeOf(error) ?? 0)

function open(file: string): DatabaseSync {
  const database = new DatabaseSync(file)
  try {
    // In WAL mode the first access already takes the lock.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;')
    const version = database.prepare('PRAGMA user_version').get()?.['user_version']
    if (version === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT;`)
    else if (version !== VERSION) throw Object.assign(new Error('an index of another version'), { errcode: NOT_ONE })
    return database
  } catch (cause: unknown) {
    database.close()
    throw cause
  }
}

function wrap(database: DatabaseSync): Index {
  const stamps = database.prepare('SELECT path, stamp FROM zettel')
  const rows = prepareRows(database)

  return {
    database,
    stamps: () => new Map(stamps.all().map(({ path, stamp }) => [String(path), String(stamp)])),
    put: (entry) => whole(database, () => rows.put(entry)),
    remove: (path) => whole(database, () => rows.remove(path)),
    async together(run) {
      database.exec('BEGIN IMMEDIATE')
      try {
        const result = await run()
        database.exec('COMMIT')
        return result
      } catch (cause: unknown) {
        rollBack(database)
        throw cause
      }
    },
    close: () => database.close(),
  }
}

// Joins the surrounding transaction, or runs in its own. No savepoints: FTS5 flushes its words at each one.
function whole<T>(database: DatabaseSync, run: () => T): T {
  if (database.isTransaction) return run()
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = run()
    database.exec('COMMIT')
    return result
  } catch (cause: unknown) {
    rollBack(database)
    throw cause
  }
}

/** Tolerates that SQLite has already rolled back after an error. */
function rollBack(database: DatabaseSync): void {
  if (database.isTransaction) database.exec('ROLLBACK')
}

/** The rows of one file in all tables; the caller runs each of the two functions in a transaction. */
function prepareRows(database: DatabaseSync): Pick<Index, 'put' | 'remove'> {
  const byPath = database.prepare('SELECT number FROM zettel WHERE path = ?')
  const byId = database.prepare('SELECT 1 FROM zettel WHERE id_key = ?')
  const insertZettel = database.prepare(
    `INSERT INTO zettel (path, stamp, bytes, zettel_id, id_key, title, title_key, category, source_agent, tags, stored_by,
      shared, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const insertTag = database.prepare('INSERT INTO tag (zettel, tag) VALUES (?, ?)')
  const insertLink = database.prepare('INSERT INTO link (source, position, target, target_key) VALUES (?, ?, ?, ?)')
  const insertWords = database.prepare('INSERT INTO words (rowid, title, tags, content) VALUES (?, ?, ?, ?)')
  const removals = [
    'DELETE FROM tag WHERE zettel = ?',
    'DELETE FROM link WHERE source = ?',
    'DELETE FROM words WHERE rowid = ?',
    'DELETE FROM zettel WHERE number = ?',
  ].map((sql) => database.prepare(sql))
  return { put, remove }

  function put({ path, stamp, bytes, zettel }: Entry): boolean {
    remove(path)
    const idKey = keyOf(zettel.zettel_id)
    if (byId.get(idKey) !== undefined) return false
    const { zettel_id, title, category, source_agent = null, tags, stored_by, shared, created_at } = zettel
    const names = [zettel_id, idKey, title, keyOf(title), category, source_agent, JSON.stringify(tags)]
    const { updated_at = null } = zettel
    const values = [path, stamp, bytes, ...names, stored_by, shared ? 1 : 0, created_at, updated_at]
    const number = insertZettel.run(...values).lastInsertRowid
    for (const tag of tags) insertTag.run(number, tag)
    for (const [at, { target, key }] of linksOf(zettel).entries()) insertLink.run(number, at, target, key)
    insertWords.run(number, title, tags.join('\n'), zettel.content)
    return true
  }

  function remove(path: string): void {
    const number = byPath.get(path)?.['number']
    if (number !== undefined) for (const removal of removals) removal.run(number)
  }
}

/** The wiki links of the content, then the links of the front matter. */
function linksOf({ content, links = [] }: Zettel) {
  const written = wikiLinks(content)
  const keys = new Set(written.map(({ key }) => key))
  const added = links.map((target) => ({ target, key: keyOf(target) })).filter(({ key }) => !keys.has(key))
  return [...written, ...added]
}

function sqliteCodeOf(error: unknown): number | undefined {
  // Extended result codes keep the primary one in their low byte.
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined
}
