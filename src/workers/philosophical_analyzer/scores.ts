// Turns points into scores. The answer's explanation contains each formula, which uses only values of the answer.

/** The text length that a scale is made for; shorter texts use the same scale. */
export const REFERENCE_WORDS = 100

/**
 * 1 - exp(-points / (scale * length)), where length is the square root of the text's hundreds of words, at least 1: a
 * text twice as long needs 1.4 times the points.
 */
export function markerScore(points: number, { scale, words }: { scale: number; words: number }): number {
  return rounded(1 - Math.exp(-points / (scale * Math.sqrt(Math.max(1, words / REFERENCE_WORDS)))))
}

const PRIOR = 3
/** (lived + 3) / (lived + performed + 6): a half without evidence. */
export function authenticityScore(lived: number, performed: number): number {
  return rounded((lived + PRIOR) / (lived + performed + 2 * PRIOR))
}

/**
 * (1 - exp(-words / 200)) * (0.4 + 0.6 * (1 - exp(-evidence / 8))), times the share of English: lower for a short text
 * and for little evidence, and almost 0 for a language that the lexicon does not know.
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
/** A third to a half of an English text consists of these words; other languages have hardly any. */
const ENGLISH_SHARE = 0.2

/** From 0 to 1; 1 for every English text that is not a list of names. */
export function englishShare(words: readonly string[]): number {
  const known = words.filter((word) => FUNCTION_WORDS.has(word)).length
  return words.length === 0 ? 0 : rounded(Math.min(1, known / words.length / ENGLISH_SHARE))
}

export function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}
