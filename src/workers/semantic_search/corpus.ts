// Training data of a model: how often each term occurs in each document, as numbers.

/** Terms of one text with their counts. */
export type Bag = Iterable<readonly [term: string, count: number]>
/** `terms` are indexes into Corpus.terms, parallel to `counts`. */
type CountedDocument = {
  readonly document: number
  readonly terms: Uint32Array
  readonly counts: Uint32Array
}
export type Corpus = {
  readonly terms: readonly string[]
  /** For each term, the number of documents that contain it. */
  readonly spread: readonly number[]
  readonly documents: readonly CountedDocument[]
}
type CorpusBuilder = { readonly add: (document: number, bag: Bag) => void; readonly corpus: Corpus }

/** Longer ones are not words. */
const MAX_TERM_LENGTH = 64

/** Takes at most `perDocument` terms of each document, the most frequent first, without those of `ignored`. */
export function createCorpusBuilder(ignored: ReadonlySet<string>, perDocument: number): CorpusBuilder {
  const numbers = new Map<string, number>()
  const terms: string[] = []
  const spread: number[] = []
  const documents: CountedDocument[] = []
  return {
    add: (document, bag) => {
      const kept = [...bag].filter(([term]) => !ignored.has(term) && term.length <= MAX_TERM_LENGTH)
      const chosen = kept.sort((a, b) => b[1] - a[1] || compare(a[0], b[0])).slice(0, perDocument)
      const own = Uint32Array.from(chosen, ([term]) => numberOf(term))
      for (const number of own) spread[number] = (spread[number] ?? 0) + 1
      documents.push({ document, terms: own, counts: Uint32Array.from(chosen, ([, count]) => count) })
    },
    corpus: { terms, spread, documents },
  }

  function numberOf(term: string): number {
    const known = numbers.get(term)
    if (known !== undefined) return known
    const number = terms.push(term) - 1
    numbers.set(term, number)
    return number
  }
}

/** Compares by code units, so the order is the same everywhere. */
export function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
