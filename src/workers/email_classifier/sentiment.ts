// The tone of a mail: words of praise against words of blame, in the sender's own words. English.
import { abstain, judge, type Judgement } from './judgement.ts'
import { ownWords, type MailText } from './mail.ts'
import { INTENSIFIERS, LEXICON, NEGATIONS } from './sentiment-lexicon.ts'
import { wordsOf } from './words.ts'

const SENTIMENT_THRESHOLD = 0.6
const MAX_CHARACTERS = 16_000
const MIN_WORDS = 4
/** Less feeling than this is neutral; a mixed mail has this much of both. */
const MIN_FEELING = 1
/** Praise and blame within this distance count as equal. */
const MIXED_WITHIN = 0.3
const NEGATION_REACH = 3
const NEGATED = -0.7
const INTENSIFIED = 1.5

type Felt = { readonly word: string; readonly strength: number }

/** positive, negative, mixed or neutral. */
export function judgeSentiment({ subject, body }: MailText): Judgement {
  const words = wordsOf(`${subject}.\n${ownWords(body).slice(0, MAX_CHARACTERS)}`).map((word) =>
    word.toLowerCase().replace('’', "'"),
  )
  if (words.length < MIN_WORDS) return abstain('lexicon')
  const felt = feelingsOf(words)
  const praise = sumOf(felt.filter(({ strength }) => strength > 0))
  const blame = -sumOf(felt.filter(({ strength }) => strength < 0))
  const feeling = praise + blame
  const common = { threshold: SENTIMENT_THRESHOLD, method: 'lexicon' } as const
  const balance = (praise - blame) / Math.max(MIN_FEELING, feeling)
  const mixed = Math.abs(balance) < MIXED_WITHIN
  if (feeling < MIN_FEELING || (mixed && Math.min(praise, blame) < MIN_FEELING)) {
    return judge('neutral', { ...common, confidence: 0.6 + 0.3 * (1 - 20 / (20 + words.length)), evidence: [] })
  }
  const value = mixed ? 'mixed' : balance > 0 ? 'positive' : 'negative'
  const clarity = value === 'mixed' ? 1 - Math.abs(balance) / MIXED_WITHIN : Math.abs(balance)
  // More words of feeling raise the confidence. It never reaches 1: a lexicon does not detect irony.
  const amount = 1 - 2 ** -feeling
  return judge(value, {
    ...common,
    confidence: Math.min(0.95, 0.5 + 0.5 * clarity * amount),
    evidence: strongest(felt),
  })
}

function feelingsOf(words: readonly string[]): Felt[] {
  return words.flatMap((word, at): Felt[] => {
    const strength = LEXICON.get(word)
    if (strength === undefined) return []
    const before = words.slice(Math.max(0, at - NEGATION_REACH), at)
    const turned = before.some((earlier) => NEGATIONS.has(earlier)) ? NEGATED : 1
    const stressed = INTENSIFIERS.has(before.at(-1) ?? '') ? INTENSIFIED : 1
    return [{ word: turned < 0 ? `not ${word}` : word, strength: strength * turned * stressed }]
  })
}

function strongest(felt: readonly Felt[]): string[] {
  const sorted = [...felt].sort((one, other) => Math.abs(other.strength) - Math.abs(one.strength))
  return [...new Set(sorted.map(({ word }) => word))]
}

function sumOf(felt: readonly Felt[]): number {
  return felt.reduce((sum, { strength }) => sum + strength, 0)
}
