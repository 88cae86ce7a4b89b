// How soon a mail needs to be read: rules that add up, on English phrases and on the headers that mail programs set.
import { hasListHeader } from './category-rules.ts'
import { judge, type Judgement } from './judgement.ts'
import { ownWords, type Mail } from './mail.ts'

const PRIORITY_THRESHOLD = 0.6
const MAX_CHARACTERS = 8_000
const HIGH_FROM = 1.5
const LOW_FROM = -1
const URGENT = /\b(?:urgent|asap|immediate(?:ly)?|critical|emergency|action required|time-sensitive|final notice)\b/i

type Rule = { readonly name: string; readonly adds: number; readonly applies: (mail: Mail, text: string) => boolean }

const RULES: readonly Rule[] = [
  { name: 'marked as important', adds: 2, applies: ({ headers }) => markOf(headers) === 'high' },
  { name: 'marked as unimportant', adds: -2, applies: ({ headers }) => markOf(headers) === 'low' },
  { name: 'urgent subject', adds: 2, applies: ({ subject }) => URGENT.test(subject) },
  { name: 'urgent words', adds: 1, applies: (_, text) => URGENT.test(text) },
  {
    name: 'near deadline',
    adds: 1,
    applies: (_, text) =>
      /\b(?:by|before|until|within) (?:today|tonight|tomorrow|noon|midnight|end of (?:the )?day|eod|the hour|an hour|\d{1,2} hours)\b/i.test(
        text,
      ),
  },
  { name: 'overdue', adds: 1, applies: (_, text) => /\b(?:overdue|past due|deadline (?:is|was) )/i.test(text) },
  {
    name: 'something is broken',
    adds: 1,
    applies: (_, text) => /\b(?:outage|production (?:is )?down|is down|data loss|incident)\b/i.test(text),
  },
  { name: 'sent to many', adds: -1.5, applies: hasListHeader },
  { name: 'unsubscribe', adds: -1, applies: (_, text) => /\bunsubscribe\b/i.test(text) },
  {
    name: 'no hurry',
    adds: -1.5,
    applies: (_, text) =>
      /\bno (?:action|reply|response) (?:is )?(?:needed|required|necessary)\b|\b(?:fyi|for your information|no rush|no hurry)\b|\bwhen(?:ever)? you (?:have|find) (?:the )?time\b/i.test(
        text,
      ),
  },
]

/** high, normal or low. `foreign`: the mail is in another language, whose phrases are unknown. */
export function judgePriority(mail: Mail, { foreign }: { readonly foreign: boolean }): Judgement {
  const text = `${mail.subject}\n${ownWords(mail.body).slice(0, MAX_CHARACTERS)}`
  const met = RULES.filter(({ applies }) => applies(mail, text))
  const score = met.reduce((sum, { adds }) => sum + adds, 0)
  const value = score >= HIGH_FROM ? 'high' : score <= LOW_FROM ? 'low' : 'normal'
  return judge(value, {
    confidence: confidenceOf(value, score, foreign && met.length === 0),
    threshold: PRIORITY_THRESHOLD,
    method: 'rules',
    evidence: met.filter(({ adds }) => (value === 'low' ? adds < 0 : adds > 0)).map(({ name }) => `rule: ${name}`),
  })
}

// Heuristics have no measured probability. Confidence grows with the distance from a threshold and never reaches 1.
function confidenceOf(value: string, score: number, silent: boolean): number {
  if (silent) return 0.3
  const distance =
    value === 'high'
      ? score - HIGH_FROM
      : value === 'low'
        ? LOW_FROM - score
        : Math.min(HIGH_FROM - score, score - LOW_FROM) / 2
  return Math.min(0.95, 0.6 + 0.15 * distance)
}

function markOf(headers: Mail['headers']): 'high' | 'low' | undefined {
  const mark = `${headers.get('importance') ?? ''} ${headers.get('priority') ?? ''} ${headers.get('x-priority') ?? ''}`
  if (/\b(?:low|non-urgent|[45])\b/i.test(mark)) return 'low'
  return /\b(?:high|urgent|[12])\b/i.test(mark) ? 'high' : undefined
}
