// The schemas of `POST /policy/ask` on the admin listener: what the policy would decide for a call, without making the call.
import Type, { type Static } from 'typebox'
import { MAX_QUESTIONS } from './ask-limit.ts'
import { RULING_NAMES } from './ruling.ts'

const closed = { additionalProperties: false }

/** `at`: the instant of the decision, RFC 3339 in UTC with up to nine decimals; now if left out. */
export const AskQuestion = Type.Object(
  {
    spiffe_id: Type.String({ maxLength: 2048 }),
    verb: Type.String({ maxLength: 64 }),
    capability: Type.String({ maxLength: 64 }),
    at: Type.Optional(Type.String({ maxLength: 32 })),
  },
  closed,
)
export type AskQuestion = Static<typeof AskQuestion>

const AskBatch = Type.Object({ questions: Type.Array(AskQuestion, { minItems: 1, maxItems: MAX_QUESTIONS }) }, closed)
type AskBatch = Static<typeof AskBatch>

/** One question, or many. Not a union: a union would report the faults of both branches. */
export const AskBody = Type.Unsafe<AskQuestion | AskBatch>({
  type: 'object',
  if: { required: ['questions'] },
  then: AskBatch,
  else: AskQuestion,
})

const Reason = Type.Object({ code: Type.String(), message: Type.String() }, closed)

/** `decision` and `policy_version` are null when the policy gave no decision; `error` then says why. */
export const AskAnswer = Type.Object(
  {
    spiffe_id: Type.String(),
    capability: Type.String(),
    at: Type.String(),
    decision: Type.Union([Type.Literal('allow'), Type.Literal('deny'), Type.Null()]),
    mode: Type.Enum(['enforce', 'shadow']),
    ruling: Type.Enum(RULING_NAMES),
    reasons: Type.Array(Reason),
    grounds: Type.Array(Type.String()),
    exception: Type.Union([Type.String(), Type.Null()]),
    policy_revision: Type.String(),
    policy_version: Type.Union([Type.String(), Type.Null()]),
    engine: Type.String(),
    error: Type.Union([Type.String(), Type.Null()]),
  },
  closed,
)
export type AskAnswer = Static<typeof AskAnswer>

/** The answer to a batch. */
const AskAnswers = Type.Object({ answers: Type.Array(AskAnswer) }, closed)

export const AskReply = Type.Union([AskAnswer, AskAnswers])

export const AskError = Type.Object({ error: Type.String(), reason: Type.String() }, closed)
