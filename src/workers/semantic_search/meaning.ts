// The semantic part of one store: its model and the vector of each document, in memory and in the file.
import { createCorpusBuilder, type Corpus } from './corpus.ts'
import { bagsAfter, totalsOf, type PreparedDocument } from './documents.ts'
import { placeDocument, type Fitted, type Model } from './lsa.ts'
import type { Pause } from './pause.ts'
import type { Store } from './store.ts'

/** The training data of a model: the documents as of a revision. */
export type Gathered = { readonly revision: number; readonly corpus: Corpus }

/** Functions that change vectors return a function that updates the memory after the commit. */
export type Meaning = {
  model(): Model | undefined
  readonly vectors: ReadonlyMap<number, Float32Array>
  /** Whether the documents have changed since the model was trained. */
  isStale(): boolean
  /** Inside a transaction: records a change of the documents. @returns what to call after the commit */
  changed(added: readonly { number: number; prepared: PreparedDocument }[], removed: readonly number[]): () => void
  gather(pause: Pause, ignored: ReadonlySet<string>): Promise<Gathered>
  /**
   * Inside a transaction: stores a trained model; undefined: none could be trained. @returns what to call after the
   * commit
   */
  adopt(gathered: Gathered, fitted: Fitted | undefined, pause: Pause): Promise<() => void>
}

/** Bounds memory and time of training: terms of all documents together, and per document. */
const MAX_ENTRIES = 1_000_000
const MAX_ENTRIES_PER_DOCUMENT = 256
const BATCH = 32
const NEVER = -1

export function loadMeaning(store: Store): Meaning {
  const { statement } = store
  let { revision, fittedRevision } = stateOf(store)
  let model = loadModel(store, () => {
    // It can be trained again at any time.
    fittedRevision = NEVER
  })
  let vectors = model === undefined ? new Map<number, Float32Array>() : loadVectors(store, model)

  return {
    model: () => model,
    get vectors() {
      return vectors
    },
    isStale: () => revision !== fittedRevision,
    changed: (added, removed) => {
      const next = revision + 1
      statement('UPDATE state SET revision = ?').run(next)
      const placed = added.map(({ number, prepared }) => ({ number, vector: place(model, prepared.terms) }))
      for (const { number, vector } of placed) if (vector !== undefined) saveVector(store, number, vector)
      return () => {
        revision = next
        for (const number of removed) vectors.delete(number)
        for (const { number, vector } of placed) if (vector !== undefined) vectors.set(number, vector)
      }
    },
    gather: async (pause, ignored) => {
      const { documents } = totalsOf(store)
      const perDocument = Math.min(MAX_ENTRIES_PER_DOCUMENT, Math.floor(MAX_ENTRIES / Math.max(1, documents)))
      const { add, corpus } = createCorpusBuilder(ignored, perDocument)
      for await (const { document, bag } of allBags(store, pause)) add(document, bag())
      return { revision, corpus }
    },
    adopt: async (gathered, fitted, pause) => {
      saveModel(store, fitted?.model)
      statement('UPDATE state SET fitted_revision = ?').run(gathered.revision)
      const learnt = new Set(gathered.corpus.documents.map(({ document }) => document))
      const next = new Map<number, Float32Array>()
      for await (const { document, bag } of allBags(store, pause)) {
        // A document added during the training is placed by the new model, like any later document.
        const vector = learnt.has(document) ? fitted?.vectors.get(document) : place(fitted?.model, bag())
        if (vector === undefined) continue
        next.set(document, vector)
        saveVector(store, document, vector)
      }
      return () => {
        model = fitted?.model
        vectors = next
        fittedRevision = gathered.revision
      }
    },
  }
}

function place(model: Model | undefined, bag: ReadonlyMap<string, number>): Float32Array | undefined {
  return model === undefined ? undefined : placeDocument(model, bag)
}

async function* allBags(store: Store, pause: Pause) {
  let after = 0
  for (;;) {
    const batch = bagsAfter(store, after, BATCH)
    if (batch.length === 0) return
    for (const item of batch) {
      await pause()
      after = item.document
      yield item
    }
  }
}

function stateOf({ statement }: Store): { revision: number; fittedRevision: number } {
  const row = statement('SELECT revision, fitted_revision FROM state').get()
  return { revision: Number(row?.['revision']), fittedRevision: Number(row?.['fitted_revision']) }
}

function saveModel({ statement }: Store, model: Model | undefined): void {
  statement('DELETE FROM model').run()
  statement('DELETE FROM vectors').run()
  if (model === undefined) return
  const { documents, terms, idf, basis, dims } = model
  statement('INSERT INTO model (documents, terms, idf, basis, dims) VALUES (?, ?, ?, ?, ?)').run(
    documents,
    JSON.stringify([...terms.keys()]),
    toBlob(idf),
    toBlob(basis),
    dims,
  )
}

function loadModel({ statement }: Store, onDamage: () => void): Model | undefined {
  const row = statement('SELECT documents, terms, idf, basis, dims FROM model').get()
  if (row === undefined) return undefined
  try {
    return parseModel(row)
  } catch {
    onDamage()
    return undefined
  }
}

/** @throws {Error} when its parts are inconsistent */
function parseModel(row: Record<string, unknown>): Model {
  const terms = JSON.parse(String(row['terms'])) as string[]
  const [idf, basis] = [fromBlob(row['idf'] as Uint8Array), fromBlob(row['basis'] as Uint8Array)]
  const dims = Number(row['dims'])
  if (idf.length !== terms.length || basis.length !== terms.length * dims) throw new Error('the model is damaged')
  return {
    documents: Number(row['documents']),
    dims,
    terms: new Map(terms.map((term, column) => [term, column])),
    idf,
    basis,
  }
}

function loadVectors({ statement }: Store, { dims }: Model): Map<number, Float32Array> {
  const rows = statement('SELECT document, vector FROM vectors').all()
  const vectors = rows.map((row) => [Number(row['document']), fromBlob(row['vector'] as Uint8Array)] as const)
  return new Map(vectors.filter(([, vector]) => vector.length === dims))
}

function saveVector({ statement }: Store, document: number, vector: Float32Array): void {
  statement('INSERT OR REPLACE INTO vectors VALUES (?, ?)').run(document, toBlob(vector))
}

/** Little-endian, as on every processor that Node supports. */
function toBlob({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function fromBlob(blob: Uint8Array): Float32Array {
  // A copy: floats must be aligned to four bytes.
  return new Float32Array(Uint8Array.from(blob).buffer)
}
