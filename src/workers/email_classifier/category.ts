// Decides the category of a mail: a naive Bayes model trained on our own lines, and rules that adjust its result.
import { rulesFor, type Rule } from './category-rules.ts'
import { categoryTerms } from './category-features.ts'
import { CATEGORIES, type Category } from './categories.ts'
import { abstain, judge, type Judgement } from './judgement.ts'
import type { Mail } from './mail.ts'
import { createBayes, highestOf, softmax, type BayesModel } from './naive-bayes.ts'

export const CATEGORY_THRESHOLD = 0.7
/** For bill and receipt, which are asked for separately. */
const KIND_THRESHOLD = 0.75
/**
 * In cross-validation the 155 most certain lines were all right, which supports no higher value; rules are not
 * measured.
 */
const MAX_CONFIDENCE = 0.99
const MIN_KNOWN_TERMS = 8
const WORDS_OF_EVIDENCE = 3

/** The model's result for one mail. */
export type CategoryLook = {
  readonly category: () => Judgement
  /** Whether the mail has that category: `bill` or `not_bill`. */
  readonly kind: (kind: Category) => Judgement
}
export type CategoryClassifier = (mail: Mail) => CategoryLook

type Weighed = {
  readonly terms: ReadonlySet<string>
  readonly rules: readonly Rule[]
  /** In the order of CATEGORIES. */
  readonly probabilities: readonly number[]
}

export function createCategoryClassifier(model: BayesModel): CategoryClassifier {
  if (model.classes.join() !== CATEGORIES.join())
    throw new Error('the category model has other categories than this worker')
  const bayes = createBayes(model)

  return (mail) => {
    const weighed = weigh(mail)
    if (weighed === undefined) return { category: () => abstain('model'), kind: () => abstain('model') }
    return { category: () => categoryOf(weighed), kind: (kind) => kindOf(kind, weighed) }
  }

  function categoryOf(weighed: Weighed): Judgement {
    const best = highestOf(weighed.probabilities)
    return judge(CATEGORIES[best] ?? '', {
      confidence: Math.min(MAX_CONFIDENCE, weighed.probabilities[best] ?? 0),
      threshold: CATEGORY_THRESHOLD,
      method: 'model',
      evidence: evidenceOf(weighed, best),
    })
  }

  function kindOf(kind: Category, weighed: Weighed): Judgement {
    const at = CATEGORIES.indexOf(kind)
    const probability = weighed.probabilities[at] ?? 0
    const confidence = Math.min(MAX_CONFIDENCE, Math.max(probability, 1 - probability))
    const common = { confidence, threshold: KIND_THRESHOLD, method: 'model' } as const
    return probability >= 0.5
      ? judge(kind, { ...common, evidence: evidenceOf(weighed, at) })
      : judge(`not_${kind}`, { ...common, evidence: [] })
  }

  function weigh(mail: Mail): Weighed | undefined {
    const terms = categoryTerms(mail)
    const { probabilities, known } = bayes.weigh(terms)
    const rules = rulesFor(mail)
    if (known < MIN_KNOWN_TERMS && rules.length === 0) return undefined
    const scores = CATEGORIES.map(
      (category, at) =>
        Math.log(probabilities[at] ?? 0) + rules.reduce((sum, { adds }) => sum + (adds[category] ?? 0), 0),
    )
    return { terms, rules, probabilities: softmax(scores) }
  }

  function evidenceOf({ terms, rules }: Weighed, at: number): string[] {
    const category = CATEGORIES[at]
    const named = rules.filter(({ adds }) => category !== undefined && (adds[category] ?? 0) > 0)
    return [...named.map(({ name }) => `rule: ${name}`), ...bayes.speakingFor(at, terms, WORDS_OF_EVIDENCE)]
  }
}
