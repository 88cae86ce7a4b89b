// Queries of the index. A reader sees their own zettels and shared ones; no result reveals the others.
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { keyOf } from './names.ts'
import type { Stamp } from './folder.ts'

/** The data of a zettel that need no access to its file. */
export type Card = {
  readonly zettel_id: string
  readonly title: string
  readonly category: string
  readonly tags: string[]
  readonly source_agent?: string
  readonly stored_by: string
  readonly shared: boolean
  readonly created_at: string
  readonly updated_at?: string
}
/** `number`: its key in the index. */
export type Found = { readonly number: number; readonly path: string; readonly stamp: Stamp; readonly card: Card }
export type Hit = Found & { readonly snippet: string }
export type Filter = {
  readonly category?: string | undefined
  readonly source_agent?: string | undefined
  /** A zettel must have all of them. */
  readonly tags?: readonly string[] | undefined
}
export type Page = { readonly limit: number; readonly offset: number }
/** `total`: without limit and offset. */
export type Paged = { readonly found: Found[]; readonly total: number }
/** `zettel_ids`: the zettels with this id or title, the oldest first, at most MAX_TARGETS. */
export type Link = { readonly target: string; readonly zettel_ids: string[] }

export type Queries = {
  /** For any reader: the caller of this function checks visibility by `stored_by`. */
  byId(id: string): Found | undefined
  usageOf(storedBy: string): { zettels: number; bytes: number }
  /** Newest first. */
  list(reader: string, filter: Filter, page: Page): Paged
  /** Best match first. `match`: see matchOf. */
  search(reader: string, match: string, filter: Filter, limit: number): Hit[]
  linksOf(reader: string, zettel: Found): Link[]
  /** The zettels that link to it by its id or title, except itself; newest first. */
  backlinksOf(reader: string, zettel: Found, page: Page): Paged
}

const MAX_TARGETS = 10
const MAX_TERMS = 32
const VISIBLE = '(z.stored_by = :reader OR z.shared = 1)'
const NEWEST_FIRST = 'ORDER BY z.created_at DESC, z.id_key DESC'
const FILTERS = `(:category IS NULL OR z.category = :category)
  AND (:source_agent IS NULL OR z.source_agent = :source_agent)
  AND (:tags = '[]' OR z.number IN (
    SELECT t.zettel FROM tag t WHERE t.tag IN (SELECT value FROM json_each(:tags))
    GROUP BY t.zettel HAVING count(*) = json_array_length(:tags)))`

/** A zettel must contain every word as written: no word is an operator. Undefined: the text has no words. */
export function matchOf(text: string): string | undefined {
  const terms = text.split(/\s+/u).filter((term) => /[\p{L}\p{N}]/u.test(term))
  if (terms.length === 0) return undefined
  return terms
    .slice(0, MAX_TERMS)
    .map((term) => `"${term.replaceAll('"', '""')}"`)
    .join(' ')
}

export function createQueries(database: DatabaseSync): Queries {
  const listed = `FROM zettel z WHERE ${VISIBLE} AND ${FILTERS}`
  const linking = `FROM zettel z WHERE ${VISIBLE} AND z.number <> :number
    AND z.number IN (SELECT source FROM link WHERE target_key IN (:idKey, :titleKey))`
  const statements = {
    byId: database.prepare('SELECT * FROM zettel WHERE id_key = ?'),
    usage: database.prepare(
      'SELECT count(*) AS zettels, coalesce(sum(bytes), 0) AS bytes FROM zettel WHERE stored_by = ?',
    ),
    list: paged(listed),
    search: database.prepare(
      `SELECT z.*, snippet(words, 2, '', '', '…', 24) AS snippet FROM words JOIN zettel z ON z.number = words.rowid
        WHERE words MATCH :match AND ${VISIBLE} AND ${FILTERS}
        ORDER BY bm25(words, 5, 3, 1), z.created_at DESC, z.id_key DESC LIMIT :limit`,
    ),
    links: database.prepare(
      `SELECT l.target, (SELECT json_group_array(zettel_id) FROM (SELECT z.zettel_id FROM zettel z
          WHERE (z.id_key = l.target_key OR z.title_key = l.target_key) AND ${VISIBLE}
          ORDER BY z.created_at, z.id_key LIMIT ${MAX_TARGETS})) AS ids
        FROM link l WHERE l.source = :number ORDER BY l.position`,
    ),
    backlinks: paged(linking),
  }

  return {
    byId: (id) => statements.byId.all(keyOf(id)).map(toFound)[0],
    usageOf(storedBy) {
      const { zettels, bytes } = statements.usage.get(storedBy) ?? {}
      return { zettels: Number(zettels), bytes: Number(bytes) }
    },
    list: (reader, filter, page) => statements.list({ reader, ...filterValues(filter) }, page),
    search: (reader, match, filter, limit) =>
      statements.search
        .all({ reader, match, limit, ...filterValues(filter) })
        .map((row) => ({ ...toFound(row), snippet: String(row['snippet']) })),
    linksOf: (reader, { number }) =>
      statements.links
        .all({ reader, number })
        .map(({ target, ids }) => ({ target: String(target), zettel_ids: JSON.parse(String(ids)) as string[] })),
    backlinksOf: (reader, { number, card }, page) =>
      statements.backlinks({ reader, number, idKey: keyOf(card.zettel_id), titleKey: keyOf(card.title) }, page),
  }

  function paged(from: string) {
    const rows = database.prepare(`SELECT z.* ${from} ${NEWEST_FIRST} LIMIT :limit OFFSET :offset`)
    const count = database.prepare(`SELECT count(*) AS total ${from}`)
    return (values: Record<string, string | number | null>, { limit, offset }: Page): Paged => ({
      found: rows.all({ ...values, limit, offset }).map(toFound),
      total: Number(count.get(values)?.['total']),
    })
  }
}

function filterValues({ category, source_agent, tags = [] }: Filter) {
  return { category: category ?? null, source_agent: source_agent ?? null, tags: JSON.stringify([...new Set(tags)]) }
}

function toFound(row: Record<string, SQLOutputValue>): Found {
  const text = (name: string): string => String(row[name])
  const maybe = (name: string) => (row[name] === null ? {} : { [name]: text(name) })
  return {
    number: Number(row['number']),
    path: text('path'),
    stamp: text('stamp'),
    card: {
      zettel_id: text('zettel_id'),
      title: text('title'),
      category: text('category'),
      tags: JSON.parse(text('tags')) as string[],
      ...maybe('source_agent'),
      stored_by: text('stored_by'),
      shared: row['shared'] === 1,
      created_at: text('created_at'),
      ...maybe('updated_at'),
    },
  }
}
