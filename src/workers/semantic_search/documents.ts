// The documents of one store: put, remove, count, filter by metadata. The caller of each function runs the transaction.
import type { Document } from './schemas.ts'
import { withoutControls } from './snippet.ts'
import type { Store } from './store.ts'

type Attributes = NonNullable<Document['metadata']>
/** A document as stored: `terms` are from the text without control characters. */
export type PreparedDocument = {
  readonly id: string
  readonly text: string
  readonly metadata: Attributes
  readonly terms: ReadonlyMap<string, number>
}
/** `length`: sum over all texts; `differentTerms`: sum over all documents. */
type Totals = { readonly documents: number; readonly length: number; readonly differentTerms: number }

export function prepareDocument(
  { id, text, metadata = {} }: Document,
  terms: (text: string) => ReadonlyMap<string, number>,
): PreparedDocument {
  const kept = withoutControls(text)
  return { id, text: kept, metadata, terms: terms(kept) }
}

/** @returns its number */
export function putDocument({ statement }: Store, { id, text, metadata, terms }: PreparedDocument): number {
  const inserted = statement(
    'INSERT INTO documents (id, length, different_terms, metadata) VALUES (?, ?, ?, ?) RETURNING document',
  ).get(id, text.length, terms.size, JSON.stringify(metadata))
  const document = Number(inserted?.['document'])
  statement('INSERT INTO texts VALUES (?, ?)').run(document, text)
  statement('INSERT INTO words (rowid, text) VALUES (?, ?)').run(document, text)
  statement('INSERT INTO bags VALUES (?, ?)').run(document, JSON.stringify([...terms]))
  for (const [key, value] of Object.entries(metadata)) {
    statement('INSERT INTO attributes VALUES (?, ?, ?)').run(key, JSON.stringify(value), document)
  }
  return document
}

/** @returns its number; undefined: there was none */
export function removeDocument({ statement }: Store, id: string): number | undefined {
  const found = statement('SELECT document, text FROM documents JOIN texts USING (document) WHERE id = ?').get(id)
  if (found === undefined) return undefined
  const document = Number(found['document'])
  // This FTS5 table stores no text, so a deletion must pass the text to remove.
  statement(`INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)`).run(document, String(found['text']))
  statement('DELETE FROM documents WHERE document = ?').run(document)
  return document
}

export function totalsOf({ statement }: Store): Totals {
  const row = statement(
    'SELECT count(*) AS documents, total(length) AS length, total(different_terms) AS terms FROM documents',
  ).get()
  return {
    documents: Number(row?.['documents']),
    length: Number(row?.['length']),
    differentTerms: Number(row?.['terms']),
  }
}

/** The terms of one document, with their counts. */
export function bagOf({ statement }: Store, document: number): ReadonlyMap<string, number> {
  const row = statement('SELECT terms FROM bags WHERE document = ?').get(document)
  return parseBag(String(row?.['terms'] ?? '[]'))
}

/** The next documents after this number, in ascending order; a bag is parsed on demand. */
export function bagsAfter({ statement }: Store, after: number, limit: number) {
  const rows = statement('SELECT document, terms FROM bags WHERE document > ? ORDER BY document LIMIT ?').all(
    after,
    limit,
  )
  return rows.map((row) => ({ document: Number(row['document']), bag: () => parseBag(String(row['terms'])) }))
}

/**
 * An SQL condition on `document` with its parameters: documents that have all of these attributes, of the same type.
 */
export function filterOf(filter: Attributes): { readonly condition: string; readonly parameters: readonly string[] } {
  const pairs = Object.entries(filter)
  return {
    condition: pairs
      .map(() => 'document IN (SELECT document FROM attributes WHERE key = ? AND value = ?)')
      .join(' AND '),
    parameters: pairs.flatMap(([key, value]) => [key, JSON.stringify(value)]),
  }
}

function parseBag(text: string): ReadonlyMap<string, number> {
  return new Map(JSON.parse(text) as [string, number][])
}
