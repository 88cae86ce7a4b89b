// On the path of every call. Parses an engine's answer (decision 0034). The results of
// all engines pass through here: an invalid answer is a failure (503), never a decision.
// Nothing uses `if (result.allow)`: "false" is truthy, and `{}` is not a denial.
import { Compile } from 'typebox/compile'
import Type, { type Static } from 'typebox'
import type { Decision } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { isRecord } from '../data/json-object.ts'

const Word = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' })

const MEMBERS = {
  allow: Type.Boolean(),
  mode: Type.Union([Type.Literal('enforce'), Type.Literal('shadow')]),
  grounds: Type.Array(Word, { maxItems: 16 }),
  reasons: Type.Array(
    Type.Object({ code: Word, message: Type.String({ maxLength: 8192 }) }, { additionalProperties: false }),
    { maxItems: 64 },
  ),
  exception: Type.Union([Type.String({ maxLength: 4096 }), Type.Null()]),
  policy_version: Type.String({ minLength: 1, maxLength: 64 }),
  decision_id: Type.String(),
}

/** The document `data.crank.<question>.decision`. Closed: an unknown member means the answer of another policy. */
const AnswerDocument = Type.Object(MEMBERS, { additionalProperties: false })
const Answer = Compile(AnswerDocument)

/** The same with a validity, as a string: 19 digits are more than a JavaScript number holds. */
// Not one schema with an optional member: its check would accept members of a prototype.
const LastingAnswer = Compile(
  Type.Object(
    { ...MEMBERS, valid_until_ns: Type.String({ pattern: '^[0-9]{1,19}$' }) },
    { additionalProperties: false },
  ),
)

/** The answer belongs to another question: answers on that connection are no longer in order. */
export class ForeignAnswerError extends Error {
  override readonly name = 'ForeignAnswerError'
}

/**
 * A policy's result as a Decision. `decisionId`: the id that was sent in `input.context.decision_id`.
 * @throws {AppError} `policy_engine_error`; its `cause` says what is invalid, and is a ForeignAnswerError when only the
 * decision_id differs.
 */
export function parseAnswer(result: unknown, decisionId: string): Decision {
  const answer = checked(result)
  if (answer.decision_id !== decisionId) {
    throw wrongAnswer(new ForeignAnswerError('decision_id is not the one that was sent'))
  }
  const { allow, mode, grounds, reasons, exception, policy_version: policyVersion, valid_until_ns: until } = answer
  // An allow has grounds and no reasons, a denial the opposite; anything else comes from a broken policy.
  if (allow !== (reasons.length === 0)) throw wrongAnswer(new Error('allow and reasons contradict each other'))
  if (allow !== grounds.length > 0) throw wrongAnswer(new Error('allow and grounds contradict each other'))
  const inOrder = [...reasons.filter(isAboutException), ...reasons.filter((reason) => !isAboutException(reason))]
  const decision = {
    decision: allow ? 'allow' : 'deny',
    mode,
    grounds,
    reasons: inOrder,
    exception,
    policyVersion,
  } as const
  return until === undefined ? decision : { ...decision, validUntilNs: BigInt(until) }
}

// The caller reads the first reason: if an exception has just ended, that reason comes first.
function isAboutException({ code }: { readonly code: string }): boolean {
  return code === 'exception_expired' || code === 'exception_invalid'
}

/** The error for an engine whose answer is not a decision. `cause` goes to the log, never to a caller. */
export function wrongAnswer(cause: unknown): AppError {
  return new AppError('policy_engine_error', undefined, { cause })
}

function checked(result: unknown): Static<typeof AnswerDocument> & { readonly valid_until_ns?: string } {
  if (isRecord(result) && Object.hasOwn(result, 'valid_until_ns')) {
    if (LastingAnswer.Check(result)) return result
    throw wrongAnswer(describeMisfit(result, LastingAnswer))
  }
  if (Answer.Check(result)) return result
  throw wrongAnswer(describeMisfit(result, Answer))
}

function describeMisfit(result: unknown, schema: typeof Answer | typeof LastingAnswer): Error {
  if (result === undefined) return new Error('no result: the policy is not loaded or the decision is undefined')
  const [fault] = schema.Errors(result)
  return new Error(`result${fault?.instancePath ?? ''} ${fault?.message ?? 'does not fit the schema'}`)
}
