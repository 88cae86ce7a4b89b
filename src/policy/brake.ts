// On the path of every call. The controller's own block list, checked independently of the engine: an
// engine that is down, has other data or answers falsely cannot let a blocked caller pass (decision
// 0045). The reasons have the code and the sentence of the policy (policies/capability_access.rego,
// policies/worker_registration.rego; test/contract/blocked.test.ts).
import type { Decide, Decision, PolicyInput, Question, Reason, RegistrationInput } from '../core/decision.ts'
import type { Blocked } from './data/blocked.ts'

type BrakeOptions = {
  /** The current block list. */
  readonly blocked: () => Blocked
  /** Revision of the current policy. */
  readonly revision: () => string
}

const MAX_NAMED = 10

/**
 * Asks `decide` only about what is not blocked, and checks the list again after the answer, so that a block added meanwhile
 * counts. Its own denials have no policy version, since no policy made them.
 */
export function withBrake({ blocked, revision }: BrakeOptions, decide: Decide): Decide {
  const denial = (question: Question, input: PolicyInput | RegistrationInput): Decision | undefined => {
    const reasons = blockReasons(question, input, blocked())
    return reasons.length === 0 ? undefined : { ...DENIAL, reasons, revision: revision() }
  }
  return async (question, input, trace) =>
    denial(question, input) ?? given(await decide(question, input, trace), denial(question, input))
}

/** Why the block list refuses a question, with the wording and order of the policy; empty when it does not. */
export function blockReasons(
  question: Question,
  input: PolicyInput | RegistrationInput,
  { identities, capabilities }: Blocked,
): Reason[] {
  const id = input.identity.spiffe_id
  const isBlocked = identities.size > 0 && identities.has(id)
  const names = capabilities.size === 0 ? [] : askedFor(question, input).filter((name) => capabilities.has(name))
  if (!isBlocked && names.length === 0) return []
  const isCall = question === 'capability_access'
  const what = isCall ? `for capability ${input.action.verb}:${input.action.capability}` : 'to'
  const refusal = (code: string, detail: string): Reason => {
    return { code, message: `Worker ${id} not authorized ${what}${detail}` }
  }
  return [
    ...(names.length === 0
      ? []
      : [refusal('capability_blocked', isCall ? ': the capability is blocked' : ` provide blocked ${listed(names)}`)]),
    ...(isBlocked ? [refusal(IDENTITY_BLOCKED, `${isCall ? '' : ' register'}: the identity is blocked`)] : []),
  ]
}

/** The policy's reason code for a blocked identity. */
export const IDENTITY_BLOCKED = 'identity_blocked'

const DENIAL = { decision: 'deny', mode: 'enforce', grounds: [], exception: null, policyVersion: null } as const

function given(decision: Decision, denial: Decision | undefined): Decision {
  return denial ?? decision
}

function askedFor(question: Question, input: PolicyInput | RegistrationInput): readonly string[] {
  if (question === 'worker_registration') return 'resource' in input ? input.resource.capabilities : []
  return [`${input.action.verb}:${input.action.capability}`]
}

/** At most ten names, as in policies/worker_registration.rego. */
function listed(names: readonly string[]): string {
  const sorted = [...new Set(names)].sort()
  const named = sorted.slice(0, MAX_NAMED).join(', ')
  return sorted.length > MAX_NAMED ? `${named} and ${sorted.length - MAX_NAMED} more` : named
}
