// Finds phrases in a text: a tree of words, walked from each word of the text. The longest of overlapping phrases wins.
import type { Token } from './tokens.ts'
import { createWordIndex, type WordIndex } from './word-index.ts'

type Phrase = { readonly phrase: string; readonly weight: number }
/** Tokens from `first` to `last`, both inclusive. */
type PhraseHit = Phrase & { readonly first: number; readonly last: number }
/** At most one match per position. Matches do not overlap, and none crosses the end of a sentence. */
type PhraseMatcher = (tokens: readonly Token[], at: number) => PhraseHit | undefined

type Node = { readonly next: WordIndex<Node>; readonly ends: Phrase | undefined }

/** A word of a phrase may end in *, which matches every word with that beginning. */
export function createPhraseMatcher(phrases: readonly Phrase[]): PhraseMatcher {
  const root = nodeOf(phrases.map((phrase) => ({ words: phrase.phrase.split(' '), phrase })))
  return (tokens, at) => longestFrom(root, tokens, at, at)
}

type Rest = { readonly words: readonly string[]; readonly phrase: Phrase }

function nodeOf(rests: readonly Rest[]): Node {
  const byWord = Map.groupBy(
    rests.filter(({ words }) => words.length > 0),
    ({ words }) => words[0] ?? '',
  )
  const entries = Array.from(byWord, ([word, group]) => {
    const shorter = group.map(({ words, phrase }) => ({ words: words.slice(1), phrase }))
    return [word, nodeOf(shorter)] as const
  })
  return { next: createWordIndex(entries), ends: rests.find(({ words }) => words.length === 0)?.phrase }
}

/** The number of words in a phrase bounds the depth. */
function longestFrom(node: Node, tokens: readonly Token[], first: number, at: number): PhraseHit | undefined {
  let best: PhraseHit | undefined = node.ends && { ...node.ends, first, last: at - 1 }
  const token = tokens[at]
  if (token === undefined || token.sentence !== tokens[first]?.sentence) return best
  for (const child of node.next.find(token.word)) {
    const found = longestFrom(child, tokens, first, at + 1)
    if (found !== undefined && (best === undefined || isBetter(found, best))) best = found
  }
  return best
}

function isBetter(a: PhraseHit, b: PhraseHit): boolean {
  return a.last > b.last || (a.last === b.last && a.weight > b.weight)
}
