// On the path of every call. Turns the policy's decision, or its failure,
// into a ruling: the only place where shadow mode lets a call pass.
import { makeCapability } from '../core/capability.ts'
import type { Decision, Mode, PolicyInput, Question } from '../core/decision.ts'
import type { Decided, Undecided } from '../core/ruling.ts'
import { modeOf } from './data/enforcement.ts'
import type { PolicyFiles } from './data/policy-files.ts'

/** What the controller knows without the policy engine: its own copy of the last valid data. */
export type OwnKnowledge = {
  readonly modeOf: (input: PolicyInput) => Mode
  /** Whether the identity or the capability is on the block list. */
  readonly isBlocked: (input: PolicyInput) => boolean
}

/** Reads the current policy files at each question. */
export function createOwnKnowledge(files: () => Pick<PolicyFiles, 'enforcement' | 'blocked'>): OwnKnowledge {
  return {
    modeOf: ({ identity, action }) =>
      modeOf(files().enforcement, identity.spiffe_id, makeCapability(action.verb, action.capability)),
    isBlocked({ identity, action }) {
      const { identities, capabilities } = files().blocked
      return identities.has(identity.spiffe_id) || capabilities.has(`${action.verb}:${action.capability}`)
    },
  }
}

/** Reasons that refuse a call in shadow mode too, whatever mode the engine reports. */
const ALWAYS_ENFORCED = new Set(['identity_blocked', 'capability_blocked', 'input_malformed', 'policy_data_malformed'])

/** The ruling on a decision. Shadow mode never lets a registration pass. */
export function rulingOf(question: Question, { decision, mode, reasons }: Decision, isBlocked: () => boolean): Decided {
  if (decision === 'allow') return 'allow'
  if (question !== 'capability_access' || mode !== 'shadow') return 'deny'
  return reasons.some(({ code }) => ALWAYS_ENFORCED.has(code)) || isBlocked() ? 'deny' : 'would_deny'
}

/** The ruling when the policy gave no decision: calls in shadow mode pass, unless the caller or the capability is blocked. */
export function rulingOnTrouble(question: Question, input: PolicyInput, own: OwnKnowledge): Undecided {
  if (question !== 'capability_access') return 'error'
  return own.modeOf(input) === 'shadow' && !own.isBlocked(input) ? 'unevaluated' : 'error'
}
