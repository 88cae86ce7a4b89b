// Naive Bayes on the terms that occur in a text, for any number of classes. The model stores counts; probabilities are
// computed here. Terms of one text are far from independent, so their mean evidence counts, not the sum: the sum would
// make a long text certain of anything.

/** The member `model` of a model file. */
export type BayesModel = {
  readonly classes: readonly string[]
  /** Number of training texts per class. */
  readonly texts: readonly number[]
  /** Added to every count, so that a term that a class has never seen does not rule the class out. */
  readonly smoothing: number
  /**
   * The mean of a text counts as this many independent terms; fitted by cross-validation to calibrate the confidences.
   */
  readonly independent_terms: number
  /** `term count count …`, the counts in the order of `classes`; several terms to a line. */
  readonly terms: readonly string[]
}

type Bayes = {
  readonly classes: readonly string[]
  readonly weigh: (terms: ReadonlySet<string>) => Weighed
  /** The terms of a text that favour one class most over the others, strongest first. */
  readonly speakingFor: (at: number, terms: ReadonlySet<string>, atMost: number) => string[]
}
type Weighed = {
  /** One per class; the sum is 1. */
  readonly probabilities: readonly number[]
  /** Mean logarithm of the terms' likelihoods, one per class. */
  readonly evidence: readonly number[]
  /** Number of terms of the text that the model knows. */
  readonly known: number
}

/** A text with few known terms is weak evidence: this many neutral terms are added to it. */
const SILENT_TERMS = 5

/** @throws {Error} for a model whose terms are not in this format */
export function createBayes(model: BayesModel): Bayes {
  const { classes, texts, smoothing } = model
  const logs = new Map<string, readonly number[]>()
  for (const [term, counts] of termCounts(model)) {
    const shares = counts.map((count, at) => (count + smoothing) / ((texts[at] ?? 0) + 2 * smoothing))
    logs.set(term, shares.map(Math.log))
  }

  return {
    classes,
    weigh(terms) {
      const sums = classes.map(() => 0)
      let known = 0
      for (const term of terms) {
        const each = logs.get(term)
        if (each === undefined) continue
        known += 1
        for (let at = 0; at < each.length; at += 1) sums[at] = (sums[at] ?? 0) + (each[at] ?? 0)
      }
      const evidence = sums.map((sum) => sum / (known + SILENT_TERMS))
      return { probabilities: probabilitiesOf(model, evidence), evidence, known }
    },
    speakingFor(at, terms, atMost) {
      const speaking = [...terms].flatMap((term) => {
        const each = logs.get(term)
        const lead = each === undefined ? 0 : leadOf(each, at)
        return lead > 0 ? [{ term, lead }] : []
      })
      speaking.sort((one, other) => other.lead - one.lead || (one.term < other.term ? -1 : 1))
      return speaking.slice(0, atMost).map(({ term }) => term)
    },
  }
}

/** The probabilities that the evidence of a text gives, with the model's weighting or another. */
export function probabilitiesOf(
  { texts, independent_terms }: Pick<BayesModel, 'texts' | 'independent_terms'>,
  evidence: readonly number[],
): number[] {
  const all = texts.reduce((sum, count) => sum + count, 0)
  return softmax(texts.map((count, at) => Math.log(count / all) + independent_terms * (evidence[at] ?? 0)))
}

/** Natural logarithms of likelihoods to probabilities. */
export function softmax(scores: readonly number[]): number[] {
  const highest = Math.max(...scores)
  const shares = scores.map((score) => Math.exp(score - highest))
  const sum = shares.reduce((total, share) => total + share, 0)
  return shares.map((share) => share / sum)
}

/** Index of the highest value; the first of several. */
export function highestOf(values: readonly number[]): number {
  return values.reduce((best, value, at) => (value > (values[best] ?? -Infinity) ? at : best), 0)
}

function leadOf(each: readonly number[], at: number): number {
  const others = each.filter((_, index) => index !== at)
  return (each[at] ?? 0) - Math.max(...others)
}

function* termCounts({ terms, classes }: BayesModel): Generator<[term: string, counts: number[]]> {
  const each = classes.length + 1
  for (const line of terms) {
    const parts = line.split(' ')
    if (parts.length % each !== 0) throw new Error('a line of terms does not hold a count for every class')
    for (let at = 0; at < parts.length; at += each) {
      yield [parts[at] ?? '', parts.slice(at + 1, at + each).map(Number)]
    }
  }
}
