// What the index is to answer, worked out by hand: every document in a map, every word counted at each question.
import type { Request } from '../../../src/workers/semantic_search/schemas.ts'

type Attributes = Record<string, string | number | boolean>
type Kept = { readonly text: string; readonly metadata: Attributes }
export type Model = {
  /** Takes the request over, and says what the answer must have. */
  apply(request: Request): object
  document(id: string): Kept
  /** Documents with one of the words and all of the attributes, with their BM25 score. */
  matching(words: readonly string[], filter: Attributes): { id: string; score: number }[]
}

export function createModel(): Model {
  const kept = new Map<string, Kept>()
  return {
    apply: (request) => {
      const there = (ids: readonly string[]) => new Set(ids.filter((id) => kept.has(id))).size
      switch (request.operation) {
        case 'index': {
          const replaced = there(request.documents.map(({ id }) => id))
          for (const { id, text, metadata = {} } of request.documents) kept.set(id, { text, metadata })
          return { operation: 'index', indexed: request.documents.length, replaced, documents: kept.size }
        }
        case 'delete': {
          const deleted = there(request.ids)
          for (const id of request.ids) kept.delete(id)
          return { operation: 'delete', deleted, documents: kept.size }
        }
        case 'search':
          return { operation: 'search', documents: kept.size }
      }
    },
    document: (id) => kept.get(id)!,
    matching: (words, filter) =>
      [...kept]
        .filter(([, { metadata }]) => Object.entries(filter).every(([key, value]) => own(metadata, key) === value))
        .map(([id, { text }]) => ({ id, score: bm25(text, words, [...kept.values()]) }))
        .filter(({ score }) => score > 0),
  }
}

function own(attributes: Attributes, key: string): unknown {
  return Object.getOwnPropertyDescriptor(attributes, key)?.value
}

/** As FTS5 documents it: k1 = 1.2, b = 0.75, and never a negative weight. https://www.sqlite.org/fts5.html#the_bm25_function */
function bm25(text: string, words: readonly string[], all: readonly Kept[]): number {
  const split = (item: string) => item.split(' ')
  const length = all.reduce((sum, item) => sum + split(item.text).length, 0) / all.length
  return words.reduce((score, word) => {
    const count = split(text).filter((item) => item === word).length
    const spread = all.filter((item) => split(item.text).includes(word)).length
    const weight = Math.log((all.length - spread + 0.5) / (spread + 0.5))
    const idf = weight > 0 ? weight : 1e-6
    return score + (idf * count * 2.2) / (count + 1.2 * (0.25 + (0.75 * split(text).length) / length))
  }, 0)
}
