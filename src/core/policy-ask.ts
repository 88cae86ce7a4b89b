// The schemas of `POST /policy/ask` on the admin listener: what the policy would decide for a call, without making the call.
import Type, { type Static } from 'typebox'
import { RULING_NAMES } from './ruling.ts'

export const MAX_QUESTIONS = 1000

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
export const AskAnswers = Type.Object({ answers: Type.Array(AskAnswer) }, closed)

export const AskReply = Type.Union([AskAnswer, AskAnswers])

export const AskError = Type.Object({ error: Type.String(), reason: Type.String() }, closed)

const INSTANT = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/
/** `now_ns` in the policy's input has at most 19 digits. */
const LAST_NS = 9_999_999_999_999_999_999n

/** The rule for the message when an instant is invalid. */
export const INSTANT_RULE = 'must be a time in UTC from 1970 to 2286, such as 2026-11-24T10:00:00Z'

/** Unix nanoseconds of an instant; undefined when the text is invalid or outside the range of `now_ns`. */
export function parseInstant(text: string): bigint | undefined {
  const [, seconds = '', fraction = ''] = INSTANT.exec(text) ?? []
  const ms = Date.parse(`${seconds}.000Z`)
  // Date turns 30 February into a day in March; comparing the text detects that.
  if (Number.isNaN(ms) || ms < 0 || new Date(ms).toISOString() !== `${seconds}.000Z`) return undefined
  const ns = BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
  return ns > LAST_NS ? undefined : ns
}

/** An instant as RFC 3339 in UTC, with as many decimals as it needs. */
export function formatInstant(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)
  const fraction = String(ns % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${seconds}${fraction === '' ? '' : `.${fraction}`}Z`
}
