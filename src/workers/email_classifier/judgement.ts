// The result of a classifier, and when it abstains.

export const METHODS = ['model', 'rules', 'lexicon', 'statistics'] as const
export type Method = (typeof METHODS)[number]

export type Judgement = {
  /** `unknown` when it abstains. */
  readonly value: string
  /** 0 to 0.9999; for an abstention: the confidence in the likeliest value. */
  readonly confidence: number
  readonly abstained: boolean
  readonly method: Method
  /** The evidence for the value, strongest first: words of the mail and names of rules. */
  readonly evidence: readonly string[]
}

const UNKNOWN = 'unknown'
export const MAX_EVIDENCE = 5

/** `value`, or an abstention below the `threshold`. */
export function judge(
  value: string,
  opts: {
    readonly confidence: number
    readonly threshold: number
    readonly method: Method
    readonly evidence: readonly string[]
  },
): Judgement {
  const { method, threshold } = opts
  const confidence = rounded(opts.confidence)
  if (confidence < threshold) return { value: UNKNOWN, confidence, abstained: true, method, evidence: [] }
  return { value, confidence, abstained: false, method, evidence: opts.evidence.slice(0, MAX_EVIDENCE) }
}

/** The abstention when there is no evidence. */
export function abstain(method: Method): Judgement {
  return { value: UNKNOWN, confidence: 0, abstained: true, method, evidence: [] }
}

// Four digits: the rest is noise. Never 1: no result is certain.
function rounded(confidence: number): number {
  return Math.min(9_999, Math.max(0, Math.round(confidence * 10_000))) / 10_000
}
