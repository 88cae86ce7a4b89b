// Detects the language of a mail. tinyld guesses the language of each phrase; the phrases vote.
import { detectAll } from 'tinyld'
import { judge, abstain, type Judgement } from './judgement.ts'
import { ownWords, type MailText } from './mail.ts'

/** ISO 639-1. tinyld also knows rare languages (Berber, Klingon), and mostly takes clutter for them. */
const LANGUAGES: readonly string[] =
  'en de fr es it pt nl sv da no fi pl cs sk hu ro bg ru uk el tr ar he fa hi ja ko zh vi id th'.split(' ')
/** On the sentences of the tests and 834 mails of the corpus, 99 % of the results above it are right. */
const LANGUAGE_THRESHOLD = 0.6
const MAX_CHARACTERS = 1_000
// Shorter phrases are joined, since each guess takes time.
const MIN_PHRASE_LETTERS = 30
const MIN_LETTERS = 8
// Weight of every other language while little text has been read.
const DOUBT = 0.1

export function judgeLanguage({ subject, body }: MailText): Judgement {
  const votes = new Map<string, number>()
  let letters = 0
  for (const phrase of joined(phrasesOf(`${subject}\n${ownWords(body)}`))) {
    const size = lettersOf(phrase)
    if (size < 2) continue
    letters += size
    const guesses = detectAll(phrase, { only: [...LANGUAGES] })
    const sum = Math.max(
      0.2,
      guesses.reduce((total, { accuracy }) => total + accuracy, 0),
    )
    for (const { lang, accuracy } of guesses) votes.set(lang, (votes.get(lang) ?? 0) + (size * accuracy) / sum)
  }
  const [first, second] = [...votes].sort(([, one], [, other]) => other - one)
  if (first === undefined || letters < MIN_LETTERS) return abstain('statistics')
  const [best, rival] = [first[1] / letters, (second?.[1] ?? 0) / letters]
  const confidence = best / (best + rival + DOUBT)
  return judge(first[0], { confidence, threshold: LANGUAGE_THRESHOLD, method: 'statistics', evidence: [] })
}

/** Whether the mail is certainly in a language other than English. */
export function isForeign({ abstained, value }: Judgement): boolean {
  return !abstained && value !== 'en'
}

// Lines that are not mostly letters are addresses, tables or code.
function phrasesOf(text: string): string[] {
  return text
    .slice(0, MAX_CHARACTERS)
    .replaceAll(/https?:\S+|[\w.+-]{1,64}@[\w.-]{1,255}/g, ' ')
    .split('\n')
    .filter((line) => lettersOf(line) >= 0.6 * line.trim().length)
    .join('\n')
    .split(/[\n.!?;:,()。、]+/)
}

function* joined(phrases: readonly string[]): Generator<string, void> {
  let longer = ''
  for (const phrase of phrases) {
    longer += ` ${phrase.trim()}`
    if (lettersOf(longer) < MIN_PHRASE_LETTERS) continue
    yield longer.trim()
    longer = ''
  }
  if (longer !== '') yield longer.trim()
}

function lettersOf(text: string): number {
  return text.match(/\p{L}/gu)?.length ?? 0
}
