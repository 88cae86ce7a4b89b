// The documents of one caller. Read operations (search, gather) may overlap; the other calls may not.
import { prepareDocument, putDocument, removeDocument, totalsOf, type PreparedDocument } from './documents.ts'
import { SearchFault } from './fault.ts'
import type { Fitted } from './lsa.ts'
import { MAX_TEXT_PER_CALL, type KeepLimits } from './limits.ts'
import { loadMeaning, type Gathered } from './meaning.ts'
import type { Pause } from './pause.ts'
import type { Document, Result, SearchRequest, SearchResult } from './schemas.ts'
import { search } from './search.ts'
import { openStore, type Store } from './store.ts'
import { STOP_WORDS } from './stop-words.ts'
import type { Tokenizer } from './tokenizer.ts'

type ResultOf<O extends Result['operation']> = Extract<Result, { operation: O }>
/** If `pause` rejects, the call ends and its changes are undone. */
export type Collection = {
  index(documents: readonly Document[], pause: Pause): Promise<ResultOf<'index'>>
  remove(ids: readonly string[], pause: Pause): Promise<ResultOf<'delete'>>
  search(request: SearchRequest, pause: Pause): Promise<SearchResult>
  /** Whether the documents have changed since the model was trained. */
  isStale(): boolean
  /** Cost of training it again: terms of all documents. */
  fitCost(): number
  gather(pause: Pause): Promise<Gathered>
  adopt(gathered: Gathered, fitted: Fitted | undefined, pause: Pause): Promise<void>
  close(): void
}

/** @throws {SearchFault} INDEX_UNAVAILABLE */
export function openCollection(opts: {
  readonly file: string
  readonly caller: string
  readonly tokenizer: Tokenizer
  readonly limits: KeepLimits
}): Collection {
  const { tokenizer, limits } = opts
  const store = openStore(opts.file, opts.caller)
  const meaning = loadMeaning(store)
  const ignored = new Set(tokenizer.terms([...STOP_WORDS].join(' ')).keys())

  return {
    index: async (documents, pause) => {
      checkCall(documents)
      const prepared: PreparedDocument[] = []
      for (const document of documents) {
        await pause()
        prepared.push(prepareDocument(document, tokenizer.terms))
      }
      const { removed, applied } = await store.transaction(async () => {
        const replaced = await removeAll(
          store,
          prepared.map(({ id }) => id),
          pause,
        )
        const added = await putAll(store, prepared, pause)
        checkTotals(store, limits)
        return { removed: replaced, applied: meaning.changed(added, replaced) }
      })
      applied()
      if (removed.length > 0) forget(store)
      const { documents: total } = totalsOf(store)
      return { operation: 'index', indexed: documents.length, replaced: removed.length, documents: total }
    },
    remove: async (ids, pause) => {
      const { removed, applied } = await store.transaction(async () => {
        const gone = await removeAll(store, [...new Set(ids)], pause)
        return { removed: gone, applied: gone.length === 0 ? undefined : meaning.changed([], gone) }
      })
      applied?.()
      if (removed.length > 0) forget(store)
      return { operation: 'delete', deleted: removed.length, documents: totalsOf(store).documents }
    },
    search: (request, pause) => search({ store, meaning, tokenizer }, request, pause),
    isStale: () => meaning.isStale(),
    fitCost: () => totalsOf(store).differentTerms,
    gather: (pause) => meaning.gather(pause, ignored),
    adopt: async (gathered, fitted, pause) => {
      const applied = await store.transaction(() => meaning.adopt(gathered, fitted, pause))
      applied()
    },
    close: () => store.close(),
  }
}

function checkCall(documents: readonly Document[]): void {
  const ids = new Set<string>()
  let length = 0
  for (const [at, { id, text }] of documents.entries()) {
    if (ids.has(id)) throw new SearchFault('INVALID_INPUT', `duplicate input/documents/${at}/id`)
    ids.add(id)
    length += text.length
  }
  if (length > MAX_TEXT_PER_CALL) {
    throw new SearchFault('LIMIT_EXCEEDED', `the texts of one call are limited to ${MAX_TEXT_PER_CALL} characters`)
  }
}

function checkTotals(store: Store, { documents, textLength }: KeepLimits): void {
  const totals = totalsOf(store)
  if (totals.documents > documents) {
    throw new SearchFault('LIMIT_EXCEEDED', `one caller may keep at most ${documents} documents`)
  }
  if (totals.length > textLength) {
    throw new SearchFault('LIMIT_EXCEEDED', `the texts of one caller are limited to ${textLength} characters`)
  }
}

async function removeAll(store: Store, ids: readonly string[], pause: Pause): Promise<number[]> {
  const removed: number[] = []
  for (const id of ids) {
    await pause()
    const number = removeDocument(store, id)
    if (number !== undefined) removed.push(number)
  }
  return removed
}

async function putAll(store: Store, documents: readonly PreparedDocument[], pause: Pause) {
  const added: { number: number; prepared: PreparedDocument }[] = []
  for (const prepared of documents) {
    await pause()
    added.push({ number: putDocument(store, prepared), prepared })
  }
  return added
}

/** Clears the write-ahead log, so that deleted text does not remain on the disk. */
function forget(store: Store): void {
  store.database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
}
