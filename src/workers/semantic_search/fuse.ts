// Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): merges two rankings without comparing their scores.

/** `score` is from 0 to 1: 1 is first in both. `second`: the part of the score from the second ranking. */
export type Fused = {
  readonly document: number
  readonly score: number
  readonly secondShare: number
  readonly firstRank: number | undefined
  readonly secondRank: number | undefined
}

/**
 * Chosen on mails: words of the second half searched for the first half. docs/workers/semantic_search.md has the
 * figures.
 */
const K = 20
const SECOND_WEIGHT = 0.5
const BEST = (1 + SECOND_WEIGHT) / (K + 1)

/**
 * Both are best first, without duplicates; the second counts half as much. Ties go to the better rank in `first`, then
 * to the lower number.
 */
export function fuse(first: readonly number[], second: readonly number[]): readonly Fused[] {
  const [firstRanks, secondRanks] = [ranksOf(first), ranksOf(second)]
  const fused = Array.from(new Set([...first, ...second]), (document): Fused => {
    const [firstRank, secondRank] = [firstRanks.get(document), secondRanks.get(document)]
    const [a, b] = [reciprocal(firstRank), SECOND_WEIGHT * reciprocal(secondRank)]
    return { document, score: (a + b) / BEST, secondShare: b / (a + b), firstRank, secondRank }
  })
  const last = Number.MAX_SAFE_INTEGER
  return fused.sort(
    (a, b) => b.score - a.score || (a.firstRank ?? last) - (b.firstRank ?? last) || a.document - b.document,
  )
}

function ranksOf(documents: readonly number[]): ReadonlyMap<number, number> {
  return new Map(documents.map((document, at) => [document, at + 1]))
}

function reciprocal(rank: number | undefined): number {
  return rank === undefined ? 0 : 1 / (K + rank)
}
