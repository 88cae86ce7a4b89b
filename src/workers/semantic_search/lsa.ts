// Latent semantic analysis: documents that share words get similar vectors, and so do words that share documents.
// TF-IDF, rows of length 1, truncated SVD (Deerwester et al. 1990).
import { compare, type Bag, type Corpus } from './corpus.ts'
import type { Pause } from './pause.ts'
import { directionsOf, type SparseRow } from './svd.ts'
import { addScaled, dot, normalise } from './vector.ts'

/**
 * A model trained on `documents`. Term t of `terms` has the weight idf[t] and the row basis[t * dims] to basis[(t + 1)
 * * dims].
 */
export type Model = {
  readonly documents: number
  readonly dims: number
  readonly terms: ReadonlyMap<string, number>
  readonly idf: Float32Array
  readonly basis: Float32Array
}
/** Vectors have length 1. A document without a vector has nothing in common with any other. */
export type Fitted = { readonly model: Model; readonly vectors: ReadonlyMap<number, Float32Array> }

const MAX_DIMS = 64
/** With fewer documents, all would seem similar. */
const MIN_DOCUMENTS = 5
const DOCUMENTS_PER_DIM = 3
const MAX_TERMS = 20_000
/** A row of length 1 that shares nothing gives a singular value of 1: a value not above this connects no documents. */
const MIN_SINGULAR = 1.01
/** Share of a document's length: below it, the projection is rounding error. */
const MIN_SHARE = 0.02
const MIN_QUERY_SHARE = 2e-4
const SEED = 0x5eed

/** Trains a model; undefined when the documents have too little in common. The same documents give the same model. */
export async function fitModel(corpus: Corpus, pause: Pause): Promise<Fitted | undefined> {
  const { documents } = corpus
  if (documents.length < MIN_DOCUMENTS) return undefined
  const chosen = mostSpread(corpus)
  const idf = Float32Array.from(chosen, (term) => idfOf(documents.length, corpus.spread[term] ?? 1))
  const columns = new Map(chosen.map((term, column) => [term, column]))
  const rows: SparseRow[] = []
  for (const { terms, counts } of documents) {
    await pause()
    rows.push(weighted(entriesOf(terms, counts, columns), idf))
  }
  const dims = Math.min(MAX_DIMS, Math.ceil(documents.length / DOCUMENTS_PER_DIM))
  const directions = await directionsOf({ rows, columnCount: chosen.length }, { dims, random: randomOf(SEED), pause })
  const kept = directions.singular.filter((value) => value >= MIN_SINGULAR)
  if (kept.length === 0) return undefined
  const terms = new Map(chosen.map((term, column) => [corpus.terms[term] ?? '', column]))
  const model = {
    documents: documents.length,
    dims: kept.length,
    terms,
    idf,
    basis: scaledBasis(directions.basis, kept),
  }
  const vectors = new Map<number, Float32Array>()
  for (const [at, row] of rows.entries()) {
    if (at % 16 === 0) await pause()
    const vector = placed(model, row, MIN_SHARE)
    const document = documents[at]?.document
    if (vector !== undefined && document !== undefined) vectors.set(document, vector)
  }
  return { model, vectors }
}

/** The vector of a document in the model; undefined when it has nothing in common with the training documents. */
export function placeDocument(model: Model, bag: Bag): Float32Array | undefined {
  return placed(model, rowOf(model, bag), MIN_SHARE)
}

/** The same for a query, with a lower threshold: a few words are only a small part of any document. */
export function placeQuery(model: Model, bag: Bag): Float32Array | undefined {
  return placed(model, rowOf(model, bag), MIN_QUERY_SHARE)
}

/**
 * How much each term of a document adds to its similarity to `target`, strongest first. Only terms with a positive
 * part that other documents contain, too: a term of a single document connects nothing.
 */
export function contributions(model: Model, bag: Bag, target: Float32Array): (readonly [term: string, part: number])[] {
  const lonely = Math.fround(idfOf(model.documents, 1))
  const parts = [...bag].map(([term, count]): [string, number] => {
    const column = model.terms.get(term)
    const idf = column === undefined ? 0 : (model.idf[column] ?? 0)
    if (column === undefined || idf >= lonely) return [term, 0]
    return [term, weightOf(count, idf) * dot(basisOf(model, column), target)]
  })
  return parts.filter(([, part]) => part > 0).sort((a, b) => b[1] - a[1] || compare(a[0], b[0]))
}

/** Scales each direction by its strength: one that connects many documents counts more than one that connects two. */
function scaledBasis(rows: readonly Float64Array[], singular: readonly number[]): Float32Array {
  const basis = new Float32Array(rows.length * singular.length)
  const strongest = singular[0] ?? 1
  for (const [column, row] of rows.entries()) {
    singular.forEach((value, d) => (basis[column * singular.length + d] = ((row[d] ?? 0) * value) / strongest))
  }
  return basis
}

/** The terms in most documents: a term of a single document connects nothing. */
function mostSpread({ terms, spread }: Corpus): number[] {
  const all = terms.map((_term, number) => number)
  const order = (a: number, b: number) => (spread[b] ?? 0) - (spread[a] ?? 0) || compare(terms[a] ?? '', terms[b] ?? '')
  return all.sort(order).slice(0, MAX_TERMS)
}

function rowOf({ terms, idf }: Model, bag: Bag): SparseRow {
  const entries = [...bag].flatMap(([term, count]): [number, number][] => {
    const column = terms.get(term)
    return column === undefined ? [] : [[column, count]]
  })
  return weighted(entries, idf)
}

function entriesOf(terms: Uint32Array, counts: Uint32Array, columns: ReadonlyMap<number, number>): [number, number][] {
  return Array.from(terms).flatMap((term, at): [number, number][] => {
    const column = columns.get(term)
    return column === undefined ? [] : [[column, counts[at] ?? 0]]
  })
}

function weighted(entries: readonly (readonly [column: number, count: number])[], idf: Float32Array): SparseRow {
  const values = Float32Array.from(entries, ([column, count]) => weightOf(count, idf[column] ?? 0))
  normalise(values)
  return { columns: Uint32Array.from(entries, ([column]) => column), values }
}

/** `spread`: number of documents that contain the term. */
function idfOf(documents: number, spread: number): number {
  return Math.log(1 + documents / spread)
}

function weightOf(count: number, idf: number): number {
  return (1 + Math.log(count)) * idf
}

function placed(model: Model, { columns, values }: SparseRow, minShare: number): Float32Array | undefined {
  const vector = new Float32Array(model.dims)
  columns.forEach((column, at) => addScaled(vector, basisOf(model, column), values[at] ?? 0))
  return dot(vector, vector) >= minShare ** 2 && normalise(vector) ? vector : undefined
}

function basisOf({ basis, dims }: Model, column: number): Float32Array {
  return basis.subarray(column * dims, (column + 1) * dims)
}

/** mulberry32: random numbers from 0 to 1. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
