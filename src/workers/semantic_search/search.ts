// One search: rankings by FTS5's bm25 and by the vectors, fused; then the details of the best documents.
import { bagOf, filterOf, totalsOf } from './documents.ts'
import { fuse, type Fused } from './fuse.ts'
import { contributions, placeQuery, type Model } from './lsa.ts'
import { matchAny, wordsOf } from './match.ts'
import type { Meaning } from './meaning.ts'
import type { Pause } from './pause.ts'
import { DEFAULT_K, type Hit, type SearchRequest, type SearchResult } from './schemas.ts'
import { beginningOf, CUT, MARK_END, MARK_START, parseSnippet, SNIPPET_TOKENS, type Snippet } from './snippet.ts'
import type { Store } from './store.ts'
import type { Tokenizer } from './tokenizer.ts'
import { dot } from './vector.ts'
import { rounded, whyOf } from './why.ts'

type SearchContext = { readonly store: Store; readonly meaning: Meaning; readonly tokenizer: Tokenizer }

/** Candidates per ranking. */
const CANDIDATES = 100
/** Minimum cosine for a document to be similar to a query. */
const MIN_SIMILARITY = 0.3
const RELATED_TERMS = 3

/** A query for both rankings. `words`: with their terms, as written. `target`: its vector. */
type Question = {
  readonly words: ReadonlyMap<string, readonly string[]>
  readonly match: string | undefined
  readonly terms: ReadonlyMap<string, number>
  readonly near: { readonly model: Model; readonly target: Float32Array } | undefined
}

/** @throws {SearchFault} LIMIT_EXCEEDED for a query with too many words */
export async function search(context: SearchContext, request: SearchRequest, pause: Pause): Promise<SearchResult> {
  const { store, meaning } = context
  const question = questionOf(context, request.query)
  const filter = filterOf(request.filter ?? {})
  const found = lexicalSearch(store, question, filter)
  const similarities = semanticSearch(context, question, filter)
  const hits: Hit[] = []
  for (const fused of fuse(found, [...similarities.keys()]).slice(0, request.k ?? DEFAULT_K)) {
    await pause()
    hits.push(hitOf(context, question, fused, similarities.get(fused.document)))
  }
  return { operation: 'search', hits, documents: totalsOf(store).documents, semantic: stateOf(meaning) }
}

function questionOf({ meaning, tokenizer }: SearchContext, query: string): Question {
  const all = wordsOf(query).map((word) => [word, [...tokenizer.terms(word).keys()]] as const)
  // FTS5 finds no terms in words that consist of marks only.
  const words = new Map(all.filter(([, terms]) => terms.length > 0))
  const terms = tokenizer.terms([...words.keys()].join(' '))
  const model = meaning.model()
  const target = model === undefined ? undefined : placeQuery(model, terms)
  const near = model === undefined || target === undefined ? undefined : { model, target }
  return { words, match: matchAny(words.keys()), terms, near }
}

type Filter = ReturnType<typeof filterOf>

/** Documents, best first. */
function lexicalSearch({ statement }: Store, { match }: Question, { condition, parameters }: Filter): number[] {
  if (match === undefined) return []
  const allowed = condition === '' ? '' : `AND rowid IN (SELECT document FROM documents WHERE ${condition})`
  const rows = statement(
    `SELECT rowid AS document FROM words WHERE words MATCH ? ${allowed} ORDER BY bm25(words), rowid LIMIT ?`,
  ).all(match, ...parameters, CANDIDATES)
  return rows.map((row) => Number(row['document']))
}

/** Cosines by document, nearest first. */
function semanticSearch(
  { store, meaning }: SearchContext,
  { near }: Question,
  filter: Filter,
): ReadonlyMap<number, number> {
  if (near === undefined) return new Map()
  const allowed = filter.condition === '' ? undefined : allowedBy(store, filter)
  const all: [document: number, similarity: number][] = []
  for (const [document, vector] of meaning.vectors) {
    if (allowed?.has(document) === false) continue
    const similarity = dot(vector, near.target)
    if (similarity >= MIN_SIMILARITY) all.push([document, similarity])
  }
  return new Map(all.sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, CANDIDATES))
}

function allowedBy({ statement }: Store, { condition, parameters }: Filter): ReadonlySet<number> {
  const rows = statement(`SELECT document FROM documents WHERE ${condition}`).all(...parameters)
  return new Set(rows.map((row) => Number(row['document'])))
}

function hitOf(context: SearchContext, question: Question, fused: Fused, similarity: number | undefined): Hit {
  const { store } = context
  const { document } = fused
  const bag = bagOf(store, document)
  const matched = [...question.words].flatMap(([word, terms]) => (terms.every((term) => bag.has(term)) ? [word] : []))
  const terms = similarity === undefined ? [] : relatedTerms(question, bag)
  const byRelated = snippetOf(store, document, matchAny(terms))
  const row = store.statement('SELECT id, metadata FROM documents WHERE document = ?').get(document)
  const { snippet, highlights } =
    snippetOf(store, document, matchAny(matched)) ?? byRelated ?? beginningOf(textOf(store, document))
  return {
    id: String(row?.['id']),
    score: rounded(fused.score),
    snippet,
    highlights: [...highlights],
    why: whyOf(fused, { matched, related: byRelated === undefined ? terms : markedIn(byRelated), similarity }),
    metadata: JSON.parse(String(row?.['metadata'])) as Hit['metadata'],
  }
}

/** Terms outside of the query that make the document similar to it. */
function relatedTerms({ near, terms }: Question, bag: ReadonlyMap<string, number>): string[] {
  if (near === undefined) return []
  const parts = contributions(near.model, bag, near.target)
  return parts.flatMap(([term]) => (terms.has(term) ? [] : [term])).slice(0, RELATED_TERMS)
}

/** Undefined if the document contains nothing of `match`: stemming a stem may change it. */
function snippetOf({ statement }: Store, document: number, match: string | undefined): Snippet | undefined {
  if (match === undefined) return undefined
  const row = statement(
    'SELECT snippet(words, 0, ?, ?, ?, ?) AS marked FROM words WHERE words MATCH ? AND rowid = ?',
    // A number would be bound as a float, and FTS5 ignores a rowid that is a float.
  ).get(MARK_START, MARK_END, CUT, SNIPPET_TOKENS, match, BigInt(document))
  return row === undefined ? undefined : parseSnippet(String(row['marked']))
}

function textOf({ statement }: Store, document: number): string {
  return String(statement('SELECT substr(text, 1, 500) AS text FROM texts WHERE document = ?').get(document)?.['text'])
}

/** The marked words as the text has them, without duplicates. */
function markedIn({ snippet, highlights }: Snippet): string[] {
  const words = highlights.map(({ start, end }) => snippet.slice(start, end).toLowerCase())
  return [...new Set(words)].slice(0, RELATED_TERMS)
}

function stateOf(meaning: Meaning): SearchResult['semantic'] {
  if (meaning.isStale()) return 'catching_up'
  return meaning.model() === undefined ? 'off' : 'ready'
}
