// From points to scores. Each formula is in the answer's explanation, and needs nothing but what the answer has.

/** As many words as a scale is made for; a shorter text is not measured by a smaller one. */
export const REFERENCE_WORDS = 100

/**
 * 1 - exp(-points / (scale * length)), where length is the square root of the text's hundreds of words, at least 1: twice as
 * long a text needs 1.4 times the points.
 */
export function markerScore(points: number, { scale, words }: { scale: number; words: number }): number {
  return rounded(1 - Math.exp(-points / (scale * Math.sqrt(Math.max(1, words / REFERENCE_WORDS)))))
}

const PRIOR = 3
/** (lived + 3) / (lived + performed + 6): half, as long as nothing tells. */
export function authenticityScore(lived: number, performed: number): number {
  return rounded((lived + PRIOR) / (lived + performed + 2 * PRIOR))
}

/**
 * (1 - exp(-words / 200)) * (0.4 + 0.6 * (1 - exp(-evidence / 8))), times the share of English: less for a short text, for few
 * signs, and near nothing for a language that the lexicon does not know.
 */
export function confidenceOf({
  words,
  evidence,
  english,
}: {
  words: number
  evidence: number
  english: number
}): number {
  return rounded((1 - Math.exp(-words / 200)) * (0.4 + 0.6 * (1 - Math.exp(-evidence / 8))) * english)
}

const FUNCTION_WORDS = new Set(
  `a about an and are as at be but by for from has have he her his i if in is it my not of on or our she so that the their
  them there they this to was we were what when where which who will with would you your`.split(/\s+/),
)
/** English text is a third to a half of these words; other languages hardly have any. */
const ENGLISH_SHARE = 0.2

/** From 0 to 1; 1 for every English text that is not a list of names. */
export function englishShare(words: readonly string[]): number {
  const known = words.filter((word) => FUNCTION_WORDS.has(word)).length
  return words.length === 0 ? 0 : rounded(Math.min(1, known / words.length / ENGLISH_SHARE))
}

export function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}
