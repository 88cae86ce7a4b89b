// Finds patterns: one word of each of several groups, close together in one sentence. One pass over the words.
import type { Pattern } from './lexicon.ts'
import type { Token } from './tokens.ts'
import { createWordIndex } from './word-index.ts'

/** Tokens from `first` to `last`, both inclusive. */
type PatternHit = { readonly pattern: Pattern; readonly first: number; readonly last: number }
/** Call it for every position of a text in order; matches of one pattern do not overlap. */
type PatternScan = (tokens: readonly Token[], at: number) => PatternHit[]
/** Starts a text. */
type PatternMatcher = () => PatternScan

/** The last position of a word of each group, or -1; positions before `from` do not count. */
type Progress = { readonly places: number[]; from: number }

export function createPatternMatcher(patterns: readonly Pattern[]): PatternMatcher {
  const groups = createWordIndex(
    patterns.flatMap((pattern, index) =>
      pattern.near.flatMap((words, group) => words.map((word) => [word, { index, group }] as const)),
    ),
  )
  return () => {
    const all = patterns.map(({ near }): Progress => ({ places: near.map(() => -1), from: 0 }))
    return (tokens, at) => {
      const seen = new Set<number>()
      return groups.find(tokens[at]?.word ?? '').flatMap(({ index, group }) => {
        const [pattern, progress] = [patterns[index], all[index]]
        // A word counts for one group of a pattern only.
        if (pattern === undefined || progress === undefined || seen.has(index)) return []
        seen.add(index)
        progress.places[group] = at
        const first = startOf(pattern, progress, tokens, at)
        if (first === undefined) return []
        progress.from = at + 1
        return [{ pattern, first, last: at }]
      })
    }
  }
}

function startOf(
  { within, ordered = false }: Pattern,
  { places, from }: Progress,
  tokens: readonly Token[],
  at: number,
): number | undefined {
  const first = Math.min(...places)
  if (first < from || at - first >= within || tokens[first]?.sentence !== tokens[at]?.sentence) return undefined
  return !ordered || places.every((place, group) => group === 0 || place > (places[group - 1] ?? -1))
    ? first
    : undefined
}
