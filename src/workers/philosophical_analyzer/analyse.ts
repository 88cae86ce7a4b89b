// The analysis of one text: reads it, computes the scores, and explains them. The same text and lexicon give the same
// answer.
import { capabilityError } from '../../worker/call-error.ts'
import type { CompiledLexicon, Measure } from './compile.ts'
import { MAX_PHRASE_WORDS, MIN_TEXT_LENGTH } from './limits.ts'
import { readText, type Found, type Reading } from './read-text.ts'
import type { Input, Output } from './schemas.ts'
import { authenticityScore, confidenceOf, englishShare, markerScore, REFERENCE_WORDS, rounded } from './scores.ts'
import { summaryOf } from './summary.ts'
import { tokensOf } from './tokens.ts'

/** @throws {HandlerError} TEXT_TOO_SHORT, INVALID_CONTEXT; the signal's reason when it aborts */
export type Analyse = (input: Input, signal: AbortSignal) => Promise<Output>

const MAX_PHRASE_SHOWN = 200
const FORMULAS = {
  marker: `1 - exp(-points / (scale * sqrt(max(1, words / ${REFERENCE_WORDS}))))`,
  authenticity: '(lived_points + 3) / (lived_points + performed_points + 6)',
  confidence: '(1 - exp(-words / 200)) * (0.4 + 0.6 * (1 - exp(-evidence / 8))) * english_share',
} as const

export function createAnalyse(lexicon: CompiledLexicon): Analyse {
  return async ({ text, analysis_type = 'full_analysis', context = {} }, signal) => {
    if (!isLongEnough(text)) {
      throw capabilityError('TEXT_TOO_SHORT', `input/text must have at least ${MIN_TEXT_LENGTH} characters`)
    }
    const everyday = everydayIn(lexicon, context.domain)
    const author = authorWords(context.author)
    const withThemes = analysis_type !== 'authenticity'
    const reading = await readText(text, lexicon, { everyday, author, withThemes, signal })
    const scores = scoresOf(lexicon, reading)
    const patterns = patternsIn(lexicon, reading)
    return {
      ...scores,
      analysis_summary: summaryOf(lexicon, { ...scores, text, found: reading.found }),
      evidence: reading.found.map((item) => evidenceOf(text, item)),
      detected_patterns: patterns,
      ...(withThemes && { secondary_themes: scoresBy(lexicon.themes, reading) }),
      ...(analysis_type !== 'dna_markers' && { readiness_thresholds: readinessOf(lexicon, scores) }),
    }
  }
}

type Scores = Pick<Output, 'dna_markers' | 'authenticity_score' | 'confidence' | 'explanation'>

function scoresOf(lexicon: CompiledLexicon, reading: Reading): Scores {
  const words = reading.words.length
  const english_share = englishShare(reading.words)
  const [lived_points, performed_points] = [pointsOf(reading, 'lived'), pointsOf(reading, 'performed')]
  const themes = new Set(lexicon.themes.map(({ code }) => code))
  const evidence = reading.found.filter(({ marker, denied }) => !denied && !themes.has(marker)).length
  return {
    dna_markers: scoresBy(lexicon.markers, reading),
    authenticity_score: authenticityScore(lived_points, performed_points),
    confidence: confidenceOf({ words, evidence, english: english_share }),
    explanation: {
      words,
      english_share,
      lexicon_version: lexicon.version,
      scores: [...lexicon.markers, ...lexicon.themes]
        .map(({ code, name, scale }) => ({ marker: code, name, points: pointsOf(reading, code), scale }))
        .filter(({ points, marker }) => points > 0 || !themes.has(marker)),
      lived_points,
      performed_points,
      evidence,
      formulas: FORMULAS,
    },
  }
}

function scoresBy(measures: readonly Measure[], reading: Reading): Record<string, number> {
  const words = reading.words.length
  const scored = measures.map(({ code, scale }) => [code, markerScore(pointsOf(reading, code), { scale, words })])
  return Object.fromEntries(scored) as Record<string, number>
}

function pointsOf({ found }: Reading, of: string): number {
  return rounded(found.reduce((sum, { marker, points }) => (marker === of ? sum + points : sum), 0))
}

function patternsIn({ describe }: CompiledLexicon, { found }: Reading): NonNullable<Output['detected_patterns']> {
  const there = found.filter(({ kind, denied }) => kind === 'pattern' && !denied)
  const grouped = Map.groupBy(there, ({ marker, key }) => `${marker} ${key}`)
  return Array.from(grouped.values()).flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const description = describe(first.marker, first.key) ?? 'The text speaks of its author by name.'
    return [{ pattern: first.key, marker: first.marker, description, occurrences: group.length }]
  })
}

function readinessOf({ readiness }: CompiledLexicon, scores: Scores): NonNullable<Output['readiness_thresholds']> {
  const reached = {
    strongest_marker: Math.max(...Object.values(scores.dna_markers)),
    authenticity: scores.authenticity_score,
    confidence: scores.confidence,
  }
  const names = ['strongest_marker', 'authenticity', 'confidence'] as const
  return Object.fromEntries(
    Object.entries(readiness).map(([name, needs]) => {
      const missing = names.filter((need) => reached[need] < needs[need])
      return [name, { ...needs, reached: missing.length === 0, missing }]
    }),
  )
}

function evidenceOf(
  text: string,
  { marker, kind, key, start, end, points, denied }: Found,
): Output['evidence'][number] {
  const phrase = text.slice(start, Math.min(end, start + MAX_PHRASE_SHOWN))
  return { marker, phrase, offset: start, length: end - start, kind, matched: key, points, denied }
}

/** Length in characters; counts only as many as needed. */
function isLongEnough(text: string): boolean {
  return Array.from(text.trim().slice(0, 2 * MIN_TEXT_LENGTH)).length >= MIN_TEXT_LENGTH
}

function everydayIn({ domains }: CompiledLexicon, domain: string | undefined): ReadonlySet<string> {
  if (domain === undefined) return new Set()
  const everyday = domains.get(domain)
  if (everyday !== undefined) return everyday
  throw capabilityError('INVALID_CONTEXT', `input/context/domain must be one of ${[...domains.keys()].join(', ')}`)
}

function authorWords(author: string | undefined): readonly string[] {
  if (author === undefined) return []
  const words = tokensOf(author).map(({ word }) => word)
  if (words.length > 0 && words.length <= MAX_PHRASE_WORDS) return words
  throw capabilityError('INVALID_CONTEXT', `input/context/author must be a name of 1 to ${MAX_PHRASE_WORDS} words`)
}
