// Why a document was found, in numbers and as a sentence.
import type { Fused } from './fuse.ts'
import type { Why } from './schemas.ts'

/** `similarity`: cosine; undefined if the vector search did not find it. */
export function whyOf(
  { firstRank, secondRank, secondShare }: Fused,
  found: { matched: readonly string[]; related: readonly string[]; similarity: number | undefined },
): Why {
  const similarity = found.similarity === undefined ? undefined : rounded(Math.min(1, found.similarity))
  const share = rounded(secondShare)
  return {
    summary: [lexicalPart(found.matched, firstRank), semanticPart(found.related, similarity, secondRank, share)].join(
      '; ',
    ),
    matched_terms: [...found.matched],
    related_terms: [...found.related],
    ...(firstRank !== undefined && { lexical_rank: firstRank }),
    ...(secondRank !== undefined && { semantic_rank: secondRank }),
    ...(similarity !== undefined && { semantic_similarity: similarity }),
    semantic_share: share,
  }
}

/** Rounds to four digits. */
export function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}

function lexicalPart(matched: readonly string[], rank: number | undefined): string {
  const has = matched.length === 0 ? 'has no word of the query' : `has ${listed(matched)}`
  return rank === undefined ? has : `${has} (rank ${rank} of the word search)`
}

function semanticPart(
  related: readonly string[],
  similarity: number | undefined,
  rank: number | undefined,
  share: number,
): string {
  if (similarity === undefined || rank === undefined) return 'not near to the query by its other words'
  const by = related.length === 0 ? '' : `, by ${listed(related)}`
  return `near to the query${by} (cosine ${similarity.toFixed(2)}, rank ${rank}): ${Math.round(share * 100)} % of the score`
}

function listed(words: readonly string[]): string {
  return words.map((word) => `“${word}”`).join(', ')
}
