// What somebody who asks `POST /policy/ask` needs. The schemas of policy-ask.ts say the same; their compiler takes longer to load
// than the answer takes to come.
import type { AskAnswer } from './policy-ask.ts'
import { isRuling } from './ruling.ts'

/** The answers to a batch; undefined when the reply does not have exactly the members of the schema `AskAnswers`. */
export function answersIn(reply: unknown): readonly AskAnswer[] | undefined {
  if (!hasExactly(reply, { answers: Array.isArray })) return undefined
  const { answers } = reply as { answers: readonly unknown[] }
  return answers.every(isAnswer) ? answers : undefined
}

type Tests = Readonly<Record<string, (value: unknown) => boolean>>

const REASON: Tests = { code: isText, message: isText }
const ANSWER: Tests = {
  spiffe_id: isText,
  capability: isText,
  at: isText,
  decision: (value) => value === 'allow' || value === 'deny' || value === null,
  mode: (value) => value === 'enforce' || value === 'shadow',
  ruling: isRuling,
  reasons: (value) => Array.isArray(value) && value.every((one) => hasExactly(one, REASON)),
  grounds: (value) => Array.isArray(value) && value.every(isText),
  exception: isTextOrNull,
  policy_revision: isText,
  policy_version: isTextOrNull,
  engine: isText,
  error: isTextOrNull,
}

function isAnswer(value: unknown): value is AskAnswer {
  return hasExactly(value, ANSWER)
}

function hasExactly(value: unknown, tests: Tests): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const members = Object.entries(value)
  if (members.length !== Object.keys(tests).length) return false
  return members.every(([name, member]) => Object.hasOwn(tests, name) && tests[name]?.(member) === true)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || isText(value)
}
