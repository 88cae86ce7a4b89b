// Quality of the spam model, measured on mails that it was not trained on.
import type { Judgement } from '../../src/workers/email_classifier/judgement.ts'
import { round } from './training.ts'

/** One mail: its true class, the model's guess, and the worker's judgement, which may abstain. */
export type Verdict = { readonly spam: boolean; readonly takenForSpam: boolean; readonly judgement: Judgement }
export type SpamMetrics = ReturnType<typeof spamMetrics>

export function spamMetrics(verdicts: readonly Verdict[]) {
  const counts = countsOf(verdicts.map(({ spam, takenForSpam }) => ({ spam, said: takenForSpam })))
  const decided = verdicts.filter(({ judgement }) => !judgement.abstained)
  const decidedCounts = countsOf(decided.map(({ spam, judgement }) => ({ spam, said: judgement.value === 'spam' })))
  return {
    ...rates(counts),
    counts,
    with_abstention: {
      answered: round(decided.length / verdicts.length, 4),
      mean_confidence: round(decided.reduce((sum, { judgement }) => sum + judgement.confidence, 0) / decided.length, 4),
      ...rates(decidedCounts),
      counts: decidedCounts,
    },
  }
}

type Counts = { spam_found: number; spam_missed: number; not_spam_kept: number; not_spam_accused: number }

function countsOf(pairs: readonly { spam: boolean; said: boolean }[]): Counts {
  const count = (spam: boolean, said: boolean): number =>
    pairs.filter((one) => one.spam === spam && one.said === said).length
  return {
    spam_found: count(true, true),
    spam_missed: count(true, false),
    not_spam_kept: count(false, false),
    not_spam_accused: count(false, true),
  }
}

function rates({ spam_found, spam_missed, not_spam_kept, not_spam_accused }: Counts) {
  const all = spam_found + spam_missed + not_spam_kept + not_spam_accused
  return {
    accuracy: round((spam_found + not_spam_kept) / all, 4),
    precision: round(spam_found / (spam_found + not_spam_accused), 4),
    recall: round(spam_found / (spam_found + spam_missed), 4),
  }
}
