// Trains naive Bayes models: counts terms, selects those that separate classes, and fits their weight by
// cross-validation.
import { createBayes, probabilitiesOf, type BayesModel } from '../../src/workers/email_classifier/naive-bayes.ts'

/** `label`: index of its class. `weight`: the number of examples it counts as, a whole number; 1 if undefined. */
export type Example = { readonly label: number; readonly terms: ReadonlySet<string>; readonly weight?: number }
export type TrainingOptions = {
  readonly classes: readonly string[]
  readonly smoothing: number
  readonly maxTerms: number
  /** A term in fewer examples is left out, whatever their weight. */
  readonly minExamples: number
  readonly folds: number
}
type Seen = { examples: number; readonly counts: number[] }
type Counted = { readonly term: string; readonly counts: readonly number[]; readonly gain: number }
type Counts = Omit<BayesModel, 'independent_terms'>
/** The judgement of a model that has not seen the example. `texts`: those of that model. */
export type Judged = {
  readonly example: Example
  readonly texts: readonly number[]
  readonly evidence: readonly number[]
}

const TERMS_PER_LINE = 10
// A grid from 1 to 100: the result does not depend on how a search ends.
const INDEPENDENT_TERMS = Array.from({ length: 101 }, (_, step) => round(100 ** (step / 100), 2))

/** The same examples in the same order give the same model. */
export function trainBayes(examples: readonly Example[], options: TrainingOptions): BayesModel {
  const judged = crossValidate(examples, options)
  const losses = INDEPENDENT_TERMS.map((independent_terms) => ({
    independent_terms,
    loss: judged.reduce((loss, { example, evidence, texts }) => {
      const probability = probabilitiesOf({ texts, independent_terms }, evidence)[example.label] ?? 0
      return loss - weightOf(example) * Math.log(Math.max(1e-9, probability))
    }, 0),
  }))
  const best = losses.reduce((low, entry) => (entry.loss < low.loss ? entry : low))
  return { ...countTerms(examples, options), independent_terms: best.independent_terms }
}

/** Judges each example with a model that was trained without its fold. */
export function crossValidate(examples: readonly Example[], options: TrainingOptions): Judged[] {
  return Array.from({ length: options.folds }, (_, fold) => fold).flatMap((fold) => {
    const seen = countTerms(
      examples.filter((_, at) => at % options.folds !== fold),
      options,
    )
    const { weigh } = createBayes({ ...seen, independent_terms: 1 })
    const rest = examples.filter((_, at) => at % options.folds === fold)
    return rest.map((example) => ({ example, texts: seen.texts, evidence: weigh(example.terms).evidence }))
  })
}

function countTerms(examples: readonly Example[], options: TrainingOptions): Counts {
  const { classes, smoothing, maxTerms, minExamples } = options
  const texts = classes.map((_, label) => sum(examples.filter((one) => one.label === label).map(weightOf)))
  const found = new Map<string, Seen>()
  for (const example of examples) {
    for (const term of example.terms) {
      const seen = found.get(term) ?? { examples: 0, counts: classes.map(() => 0) }
      seen.examples += 1
      seen.counts[example.label] = (seen.counts[example.label] ?? 0) + weightOf(example)
      found.set(term, seen)
    }
  }
  const chosen = [...found]
    .filter(([, seen]) => seen.examples >= minExamples)
    .map(([term, { counts }]): Counted => ({ term, counts, gain: gainOf(counts, texts) }))
    .sort((one, other) => other.gain - one.gain || (one.term < other.term ? -1 : 1))
    .slice(0, maxTerms)
    .sort((one, other) => (one.term < other.term ? -1 : 1))
  return { classes, texts, smoothing, terms: inLines(chosen) }
}

// Log-likelihood ratio (G²) of "the term occurs as often in every class" against what was counted.
function gainOf(counts: readonly number[], texts: readonly number[]): number {
  const share = sum(counts) / sum(texts)
  return counts.reduce((gain, count, label) => {
    const size = texts[label] ?? 0
    return gain + surprise(count, size * share) + surprise(size - count, size * (1 - share))
  }, 0)
}

function surprise(observed: number, expected: number): number {
  return observed > 0 ? observed * Math.log(observed / expected) : 0
}

function weightOf({ weight = 1 }: Example): number {
  return weight
}

function inLines(chosen: readonly Counted[]): string[] {
  const entries = chosen.map(({ term, counts }) => `${term} ${counts.join(' ')}`)
  return Array.from({ length: Math.ceil(entries.length / TERMS_PER_LINE) }, (_, line) =>
    entries.slice(line * TERMS_PER_LINE, (line + 1) * TERMS_PER_LINE).join(' '),
  )
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
