// Reads the index of one segment: where the lines are that an id or a query may mean. The lines themselves decide.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { keyOf, type Progress } from './index-file.ts'
import { UNKNOWN_BASE } from './shapes.ts'
import { textTests, type AuditQuery } from './traits.ts'

export type Order = 'newest' | 'oldest'

/** The shapes that a query means, and how many records have one of them. */
type Matching = { readonly shapes: readonly number[]; readonly records: number }

/** Where a line may be. `isSure`: only a wrong index has a line here that the query does not mean. */
export type Place = { readonly at: number; readonly isSure: boolean }

/** `from`: the places before it, in this order, are known. */
type PlacesAsked = {
  readonly query: AuditQuery
  readonly order: Order
  readonly from: number | undefined
  readonly limit: number
}

export type SegmentIndex = {
  readonly progress: Progress
  readonly withId: (member: 'decision_id' | 'trace_id', id: string) => number[]
  readonly matching: (query: AuditQuery) => Matching
  /** At most `limit` places, in this order, beyond `from`. */
  readonly places: (matching: Matching, ask: PlacesAsked) => Place[]
  readonly close: () => void
}

/** An outcome repeats the caller and the capability of its decision, but not these. */
const OF_DECISIONS = new Set(['decision', 'texts'])
/** From here on, reading the records in order is quicker than sorting those of the shapes. */
const MANY = 4000

/** Every method throws SQLite's error when the index is damaged. */
export function readIndex(database: DatabaseSync, progress: Progress): SegmentIndex {
  const byDecision = database.prepare('SELECT at FROM record WHERE decision = ? ORDER BY at')
  const byTrace = database.prepare('SELECT at FROM record WHERE trace = ? ORDER BY at')
  return {
    progress,
    withId(member, id) {
      const key = keyOf(id)
      if (key === undefined) return []
      return (member === 'decision_id' ? byDecision : byTrace).all(key).map(({ at }) => Number(at))
    },
    matching: (query) => matchingIn(database, query),
    places: (matching, ask) => placesIn(database, matching, ask),
    close: () => {
      if (database.isOpen) database.close()
    },
  }
}

/**
 * A call is found by one record: by that of its decision when it alone has what is asked for, else by that of its outcome, whose
 * shape knows the shape of the decision.
 */
function matchingIn(database: DatabaseSync, query: AuditQuery): Matching {
  const terms = database.prepare('SELECT id, text FROM term WHERE trait = ?')
  const conditions = textTests(query).map(([trait, isAsked]): Condition => {
    const ids = terms.all(trait).flatMap(({ id, text }) => (isAsked(String(text)) ? [Number(id)] : []))
    return {
      of: (shape) => `coalesce(${shape}.${trait}, 0) IN (SELECT value FROM json_each(?))`,
      values: [JSON.stringify(ids)],
      isOpen: OF_DECISIONS.has(trait),
    }
  })
  if (query.status !== undefined) {
    const { from, to } = query.status
    const of = (shape: string): string => `coalesce(${shape}.status, 0) BETWEEN ? AND ?`
    conditions.push({ of, values: [from, to], isOpen: false })
  }
  const values = conditions.flatMap((condition) => condition.values)
  const open = `OR own.base = ${UNKNOWN_BASE}`
  const together = conditions.map(({ of, isOpen }) => `(${of('own')} OR ${of('base')} ${isOpen ? open : ''})`)
  const alone = [`own.base > ${UNKNOWN_BASE}`, ...conditions.map(({ of }) => of('base'))]
  const sql = `SELECT own.id AS id, own.count AS count FROM shape AS own LEFT JOIN shape AS base ON base.id = own.base
    WHERE own.count > 0 ${together.map((one) => `AND ${one}`).join(' ')} AND NOT (${alone.join(' AND ')})`
  const twice = conditions.flatMap((condition) => [...condition.values, ...condition.values])
  const shapes = database.prepare(sql).all(...twice, ...values)
  return {
    shapes: shapes.map(({ id }) => Number(id)),
    records: shapes.reduce((sum, { count }) => sum + Number(count), 0),
  }
}

/** `isOpen`: an outcome alone does not say whether its call fits. */
type Condition = {
  readonly of: (shape: 'own' | 'base') => string
  readonly values: readonly SQLInputValue[]
  readonly isOpen: boolean
}

function placesIn(
  database: DatabaseSync,
  { shapes, records }: Matching,
  { query, order, from, limit }: PlacesAsked,
): Place[] {
  const isNewest = order === 'newest'
  const beyond = from ?? (isNewest ? Number.MAX_SAFE_INTEGER : -1)
  // A plus sign keeps SQLite from using the index of that column.
  const column = records > MANY ? '+record.shape' : 'record.shape'
  const sql = `SELECT at, base FROM record JOIN shape ON shape.id = record.shape
    WHERE at ${isNewest ? '<' : '>'} ? AND ${column} IN (SELECT value FROM json_each(?)) AND time >= ? AND time < ?
    ORDER BY at ${isNewest ? 'DESC' : 'ASC'} LIMIT ?`
  const since = Math.ceil(query.since ?? Number.MIN_SAFE_INTEGER)
  const until = Math.ceil(query.until ?? Number.MAX_SAFE_INTEGER)
  const rows = database.prepare(sql).all(beyond, JSON.stringify(shapes), since, until, limit)
  return rows.map(({ at, base }) => ({ at: Number(at), isSure: base !== UNKNOWN_BASE }))
}
