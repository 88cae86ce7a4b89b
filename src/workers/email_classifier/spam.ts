// Spam detection: the naive Bayes model of spam-model.json, made by scripts/train-spam-model.ts.
import type { Category } from './categories.ts'
import type { CategoryClassifier } from './category.ts'
import { abstain, judge, MAX_EVIDENCE, type Judgement } from './judgement.ts'
import type { MailText } from './mail.ts'
import { createBayes, highestOf, type BayesModel } from './naive-bayes.ts'
import { spamTerms } from './spam-features.ts'

/** Below `threshold` the model abstains; chosen on mails that it was not trained on. */
export type SpamModel = BayesModel & { readonly threshold: number }

export const SPAM_CLASSES = ['not_spam', 'spam'] as const
/** Mails that people wait for. Spam imitates them, but losing a real one costs more than accepting an imitation. */
const NEVER_ACCUSED: ReadonlySet<string> = new Set<Category>(['receipt', 'bill', 'travel', 'notification'])
/** Headers are not features of spam. */
const NO_HEADERS: ReadonlyMap<string, string> = new Map()
/** The model abstains on a mail with fewer known terms. */
const MIN_KNOWN_TERMS = 12

/** `spam`: the model's guess, however uncertain; its accuracy is measured by it. */
type SpamLook = { readonly spam: boolean; readonly judgement: Judgement }
export type SpamClassifier = (mail: MailText) => SpamLook

/** `category` has a veto: a receipt, bill, journey or notification is never called spam. */
export function createSpamClassifier(model: SpamModel, category: CategoryClassifier): SpamClassifier {
  const bayes = createBayes(model)
  return (mail) => {
    const terms = spamTerms(mail)
    const { probabilities, known } = bayes.weigh(terms)
    const best = highestOf(probabilities)
    const value = bayes.classes[best] ?? ''
    const spam = value === 'spam'
    if (known < MIN_KNOWN_TERMS) return { spam, judgement: abstain('model') }
    if (spam && NEVER_ACCUSED.has(category({ ...mail, headers: NO_HEADERS }).category().value))
      return { spam, judgement: abstain('model') }
    const judgement = judge(value, {
      confidence: probabilities[best] ?? 0,
      threshold: model.threshold,
      method: 'model',
      evidence: bayes.speakingFor(best, terms, MAX_EVIDENCE).map(described),
    })
    return { spam, judgement }
  }
}

const WAYS: Readonly<Record<string, string>> = {
  '^caps': 'share of words in capitals',
  '^exclaimed': 'number of exclamation marks',
  '^links': 'number of links',
  '^length': 'length',
  '^quotes': 'whether it quotes',
  '^subject!': 'exclamation mark in the subject',
  '^subjectcaps': 'subject in capitals',
}

function described(term: string): string {
  if (term.startsWith('^')) return WAYS[term] ?? WAYS[term.replace(/\d+$/, '')] ?? term
  if (term.startsWith('s:')) return `subject: ${term.slice(2)}`
  return term.startsWith('u:') ? `link: ${term.slice(2)}` : term
}
