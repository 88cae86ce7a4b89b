// Input, output and errors of analyze:philosophy.
import Type, { type Static } from 'typebox'
import type { ErrorDeclaration } from '../../worker/define.ts'
import { MAX_TEXT_LENGTH, MIN_TEXT_LENGTH } from './limits.ts'

const closed = { additionalProperties: false } as const
const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description })
const points = Type.Number({ minimum: 0 })
const count = (description: string) => Type.Integer({ minimum: 0, description })

export type Input = Static<typeof Input>
export const Input = Type.Object(
  {
    text: Type.String({
      maxLength: MAX_TEXT_LENGTH,
      description: `English text of at least ${MIN_TEXT_LENGTH} characters; other languages are accepted, but scores mean little.`,
    }),
    analysis_type: Type.Optional(
      Type.Enum(['dna_markers', 'authenticity', 'full_analysis'], {
        default: 'full_analysis',
        description:
          'The scores are always present; dna_markers leaves out readiness_thresholds, authenticity the themes.',
      }),
    ),
    context: Type.Optional(
      Type.Object(
        {
          author: Type.Optional(
            Type.String({
              maxLength: 120,
              description: 'A text that keeps naming its author is not in their own voice.',
            }),
          ),
          domain: Type.Optional(
            Type.String({
              maxLength: 40,
              description: "One of the lexicon's domains. Everyday words of that domain count half.",
            }),
          ),
        },
        closed,
      ),
    ),
  },
  closed,
)

const Evidence = Type.Object(
  {
    marker: Type.String({ description: 'Code of the marker or theme; lived or performed for the authenticity score.' }),
    phrase: Type.String({ description: 'The place in the text; a long one is shortened.' }),
    offset: count('Position of its first UTF-16 code unit in the text.'),
    length: count('Length in UTF-16 code units.'),
    kind: Type.Enum(['phrase', 'pattern']),
    matched: Type.String({ description: 'The phrase of the lexicon, or the name of the pattern.' }),
    points: Type.Number({
      minimum: 0,
      description: 'Half for the second occurrence, a quarter for the third; 0 if negated.',
    }),
    denied: Type.Boolean({ description: 'Whether a word before it negates it.' }),
  },
  closed,
)
const DetectedPattern = Type.Object(
  { pattern: Type.String(), marker: Type.String(), description: Type.String(), occurrences: count('At most three.') },
  closed,
)
const Readiness = Type.Object(
  {
    strongest_marker: share('Score that the strongest marker must reach.'),
    authenticity: share('Score to reach.'),
    confidence: share('Confidence to reach.'),
    reached: Type.Boolean(),
    missing: Type.Array(Type.Enum(['strongest_marker', 'authenticity', 'confidence'])),
  },
  closed,
)
const Explanation = Type.Object(
  {
    words: count('Words of the text.'),
    english_share: share('1: as many short English words as in an English text.'),
    lexicon_version: Type.String(),
    scores: Type.Array(
      Type.Object(
        {
          marker: Type.String(),
          name: Type.String(),
          points: Type.Number({ minimum: 0, description: 'Sum of the points of its evidence.' }),
          scale: Type.Number({ exclusiveMinimum: 0 }),
        },
        closed,
      ),
    ),
    lived_points: points,
    performed_points: points,
    evidence: count('Pieces of evidence for markers and authenticity that were not negated.'),
    formulas: Type.Object({ marker: Type.String(), authenticity: Type.String(), confidence: Type.String() }, closed),
  },
  closed,
)

/** `markers`, `themes`: codes of the lexicon; `readiness`: names of its thresholds. */
type Codes = {
  readonly markers: readonly string[]
  readonly themes: readonly string[]
  readonly readiness: readonly string[]
}

export type Output = Static<ReturnType<typeof outputSchema>>
/** The output schema lists the codes of the lexicon, so a reader knows which scores there are. */
export function outputSchema({ markers, themes, readiness }: Codes) {
  return Type.Object(
    {
      dna_markers: scores(markers),
      authenticity_score: share('1: lived, 0: performed. 0.5 without evidence.'),
      analysis_summary: Type.String(),
      confidence: share('Low for short texts, few signs, and other languages than English.'),
      evidence: Type.Array(Evidence, {
        description: 'All evidence behind the scores, in the order of the text.',
      }),
      explanation: Explanation,
      detected_patterns: Type.Optional(Type.Array(DetectedPattern)),
      secondary_themes: Type.Optional(scores(themes)),
      readiness_thresholds: Type.Optional(named(readiness, Readiness)),
    },
    closed,
  )
}

function scores(codes: readonly string[]) {
  return named(codes, share('Score.'))
}

function named<T extends Parameters<typeof Type.Record>[1]>(names: readonly string[], value: T) {
  return Type.Unsafe<Record<string, Static<T>>>(
    Type.Object(Object.fromEntries(names.map((name) => [name, value])), closed),
  )
}

export const errors = {
  INVALID_INPUT: { description: 'The input does not fit the schema.', retryable: false, status: 400 },
  TEXT_TOO_SHORT: {
    description: `The text has fewer than ${MIN_TEXT_LENGTH} characters besides the white space around it.`,
    retryable: false,
    status: 422,
  },
  INVALID_CONTEXT: {
    description: 'The context names a domain that the lexicon does not have, or an author without a name.',
    retryable: false,
    status: 422,
  },
  ANALYSIS_FAILED: { description: 'The analysis failed; the text is not the cause.', retryable: true, status: 500 },
} as const satisfies Record<string, ErrorDeclaration>
