// The SQL of the store, prepared once per open file.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'

export type KeyRow = {
  readonly caller: string
  readonly fingerprint: Uint8Array
  readonly state: 'in_flight' | 'done' | 'unknown'
  readonly decision_id: string
  readonly used_ms: number
  /** Null while a process holds the key. */
  readonly expires_ms: number | null
  readonly answer_bytes: number
}

export type CallerTotals = {
  readonly caller: string
  readonly state: KeyRow['state']
  readonly keys: number
  readonly bytes: number
}

/** A prepared statement with the types of its parameters and rows. */
type Query<Parameters extends SQLInputValue[], Row = never> = {
  readonly run: (...parameters: Parameters) => unknown
  readonly get: (...parameters: Parameters) => Row | undefined
  readonly all: (...parameters: Parameters) => Row[]
}

type Found = KeyRow & { readonly id: Uint8Array }

export type Statements = ReturnType<typeof prepareStatements>

const COLUMNS = 'caller, fingerprint, state, decision_id, used_ms, expires_ms, answer_bytes'

export function prepareStatements(database: DatabaseSync) {
  const query = <P extends SQLInputValue[], Row = never>(sql: string) =>
    database.prepare(sql) as unknown as Query<P, Row>
  return {
    find: query<[id: Uint8Array], KeyRow>(`SELECT ${COLUMNS} FROM keys WHERE id = ?`),
    insert: query<
      [id: Uint8Array, caller: string, fingerprint: Uint8Array, owner: string, decisionId: string, usedMs: number]
    >(`INSERT INTO keys (id, caller, fingerprint, owner, decision_id, used_ms, state, expires_ms, answer_bytes)
       VALUES (?, ?, ?, ?, ?, ?, 'in_flight', NULL, 0)`),
    finish: query<[expiresMs: number, usedMs: number, bytes: number, id: Uint8Array]>(
      `UPDATE keys SET state = 'done', expires_ms = ?, used_ms = ?, answer_bytes = ? WHERE id = ?`,
    ),
    forget: query<[expiresMs: number | null, id: Uint8Array]>(
      `UPDATE keys SET state = 'unknown', expires_ms = ?, answer_bytes = 0 WHERE id = ?`,
    ),
    use: query<[usedMs: number, id: Uint8Array]>('UPDATE keys SET used_ms = ? WHERE id = ?'),
    remove: query<[id: Uint8Array]>('DELETE FROM keys WHERE id = ?'),
    expired: query<[nowMs: number, limit: number], Found>(
      `SELECT id, ${COLUMNS} FROM keys WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?`,
    ),
    heldBy: query<[owner: string], Found>(`SELECT id, ${COLUMNS} FROM keys WHERE owner = ? AND state = 'in_flight'`),
    oldest: query<[], Found>(`SELECT id, ${COLUMNS} FROM keys WHERE answer_bytes > 0 ORDER BY used_ms LIMIT 1`),
    oldestOf: query<[caller: string], Found>(
      `SELECT id, ${COLUMNS} FROM keys WHERE caller = ? AND answer_bytes > 0 ORDER BY used_ms LIMIT 1`,
    ),
    totals: query<[], CallerTotals>(
      'SELECT caller, state, count(*) AS keys, sum(answer_bytes) AS bytes FROM keys GROUP BY caller, state',
    ),
    answer: query<[id: Uint8Array], { answer: string; body: Uint8Array }>(
      'SELECT answer, body FROM answers WHERE id = ?',
    ),
    addAnswer: query<[id: Uint8Array, answer: string, body: Uint8Array]>('INSERT INTO answers VALUES (?, ?, ?)'),
    dropAnswer: query<[id: Uint8Array]>('DELETE FROM answers WHERE id = ?'),
    addOwner: query<[owner: string, process: string]>('INSERT OR REPLACE INTO owners VALUES (?, ?)'),
    removeOwner: query<[owner: string]>('DELETE FROM owners WHERE owner = ?'),
    otherOwners: query<[owner: string], { owner: string; process: string }>(
      'SELECT owner, process FROM owners WHERE owner <> ?',
    ),
  }
}
