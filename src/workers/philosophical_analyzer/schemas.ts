// What goes in and comes out of analyze:philosophy, and how it fails.
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
      description: `English text of at least ${MIN_TEXT_LENGTH} characters; other languages are read, but hardly understood.`,
    }),
    analysis_type: Type.Optional(
      Type.Enum(['dna_markers', 'authenticity', 'full_analysis'], {
        default: 'full_analysis',
        description:
          'The scores are always there; dna_markers leaves out readiness_thresholds, authenticity the themes.',
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
              description: "What is everyday in it counts half: one of the lexicon's domains.",
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
    phrase: Type.String({ description: 'The place in the text; a long one is cut.' }),
    offset: count('Of its first UTF-16 code unit in the text.'),
    length: count('In UTF-16 code units.'),
    kind: Type.Enum(['phrase', 'pattern']),
    matched: Type.String({ description: 'The phrase of the lexicon, or the name of the pattern.' }),
    points: Type.Number({ minimum: 0, description: 'Half for the second time, a quarter for the third; 0 if denied.' }),
    denied: Type.Boolean({ description: 'A word before it says that it is not so.' }),
  },
  closed,
)
const DetectedPattern = Type.Object(
  { pattern: Type.String(), marker: Type.String(), description: Type.String(), occurrences: count('Up to three.') },
  closed,
)
const Readiness = Type.Object(
  {
    strongest_marker: share('Score that the strongest marker needs.'),
    authenticity: share('Score needed.'),
    confidence: share('Confidence needed.'),
    reached: Type.Boolean(),
    missing: Type.Array(Type.Enum(['strongest_marker', 'authenticity', 'confidence'])),
  },
  closed,
)
const Explanation = Type.Object(
  {
    words: count('Of the text.'),
    english_share: share('1: every bit as many small English words as in English.'),
    lexicon_version: Type.String(),
    scores: Type.Array(
      Type.Object(
        {
          marker: Type.String(),
          name: Type.String(),
          points: Type.Number({ minimum: 0, description: 'Sum of those of its evidence.' }),
          scale: Type.Number({ exclusiveMinimum: 0 }),
        },
        closed,
      ),
    ),
    lived_points: points,
    performed_points: points,
    evidence: count('Pieces that were not denied, of markers and authenticity.'),
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
/** The answer's schema has the codes of the lexicon: whoever reads it knows which scores there are. */
export function outputSchema({ markers, themes, readiness }: Codes) {
  return Type.Object(
    {
      dna_markers: scores(markers),
      authenticity_score: share('1: as lived, 0: as performed. 0.5 where nothing tells.'),
      analysis_summary: Type.String(),
      confidence: share('Low for short texts, few signs, and other languages than English.'),
      evidence: Type.Array(Evidence, {
        description: 'In the order of the text: every piece that a score was made of.',
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
    description: 'The context names a domain that the lexicon does not have, or an author who has no name.',
    retryable: false,
    status: 422,
  },
  ANALYSIS_FAILED: { description: 'The analysis failed, by no fault of the text.', retryable: true, status: 500 },
} as const satisfies Record<string, ErrorDeclaration>
