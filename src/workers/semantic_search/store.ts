// One caller's file: documents, their words for FTS5, their terms and vectors, and the model. node:sqlite, WAL.
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { SearchFault } from './fault.ts'
import { TOKENIZE } from './tokenizer.ts'

export type Store = {
  readonly database: DatabaseSync
  /** Prepares each SQL text once. */
  readonly statement: (sql: string) => StatementSync
  /** All or nothing; no other operation may use the store meanwhile. */
  readonly transaction: <T>(run: () => Promise<T>) => Promise<T>
  close(): void
}

/** Increases with every change of SCHEMA or TOKENIZE. */
const FORMAT = 1
/** A `document` number is never reused: it identifies one text forever. */
const SCHEMA = `
  CREATE TABLE owner (caller TEXT NOT NULL) STRICT;
  CREATE TABLE documents (
    document INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    length INTEGER NOT NULL,
    different_terms INTEGER NOT NULL,
    metadata TEXT NOT NULL
  ) STRICT;
  CREATE TABLE texts (document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE, text TEXT NOT NULL) STRICT;
  CREATE VIRTUAL TABLE words USING fts5(text, content='texts', content_rowid='document', tokenize='${TOKENIZE}');
  INSERT INTO words(words, rank) VALUES ('secure-delete', 1);
  CREATE TABLE bags (document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE, terms TEXT NOT NULL) STRICT;
  CREATE TABLE vectors (document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE, vector BLOB NOT NULL) STRICT;
  CREATE TABLE attributes (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    PRIMARY KEY (key, value, document)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX attributes_of ON attributes (document);
  CREATE TABLE model (documents INTEGER NOT NULL, terms TEXT NOT NULL, idf BLOB NOT NULL, basis BLOB NOT NULL, dims INTEGER NOT NULL) STRICT;
  CREATE TABLE state (revision INTEGER NOT NULL, fitted_revision INTEGER NOT NULL) STRICT;
  INSERT INTO state VALUES (0, 0);
  PRAGMA user_version = ${FORMAT};`

/**
 * Opens the file, or creates it (0600).
 * @throws {SearchFault} INDEX_UNAVAILABLE: in use by another process, damaged, of another format or caller
 */
export function openStore(file: string, caller: string): Store {
  let database: DatabaseSync | undefined
  try {
    // SQLite gives its -wal file the same mode.
    closeSync(openSync(file, 'a', 0o600))
    database = new DatabaseSync(file, { timeout: 0 })
    prepare(database, caller)
    return storeOf(database)
  } catch (cause: unknown) {
    database?.close()
    throw new SearchFault('INDEX_UNAVAILABLE', 'the index cannot be opened', { cause })
  }
}

function prepare(database: DatabaseSync, caller: string): void {
  // Exclusive: the vectors in memory are valid only while no other process writes. secure_delete: deleted content is
  // erased.
  database.exec(`
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;
    PRAGMA trusted_schema = OFF`)
  const format = database.prepare('PRAGMA user_version').get()?.['user_version']
  if (format === 0) {
    database.exec(`BEGIN IMMEDIATE; ${SCHEMA}`)
    database.prepare('INSERT INTO owner VALUES (?)').run(caller)
    database.exec('COMMIT')
  } else if (format !== FORMAT) throw new Error(`unknown format ${String(format)}`)
  if (database.prepare('SELECT caller FROM owner').get()?.['caller'] !== caller) {
    throw new Error('the file belongs to another caller')
  }
}

function storeOf(database: DatabaseSync): Store {
  const statements = new Map<string, StatementSync>()
  return {
    database,
    statement: (sql) => {
      const known = statements.get(sql)
      if (known !== undefined) return known
      const made = database.prepare(sql)
      statements.set(sql, made)
      return made
    },
    transaction: async (run) => {
      database.exec('BEGIN IMMEDIATE')
      try {
        const result = await run()
        database.exec('COMMIT')
        return result
      } catch (error: unknown) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw error
      }
    },
    close: () => database.close(),
  }
}
