// On the path of every call. What becomes of a call once the policy has spoken, or failed to: the only place where shadow
// mode lets something pass.
import { makeCapability } from '../core/capability.ts'
import type { Decision, Mode, PolicyInput, Question } from '../core/decision.ts'
import type { Decided, Undecided } from '../core/ruling.ts'
import { modeOf } from './data/enforcement.ts'
import type { PolicyFiles } from './data/policy-files.ts'

/** What the controller knows by itself, without the policy engine: its own copy of the data, the last that was sound. */
export type OwnKnowledge = {
  readonly modeOf: (input: PolicyInput) => Mode
  /** The identity or the capability is on the block list. */
  readonly isBlocked: (input: PolicyInput) => boolean
}

/** Read from the policy folder in force, anew at each question. */
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

/** Reasons that refuse in shadow mode too, whatever mode an engine gives them. */
const ALWAYS_ENFORCED = new Set(['identity_blocked', 'capability_blocked', 'input_malformed', 'policy_data_malformed'])

/** The ruling on what the policy said. A registration is never let through by shadow mode. */
export function rulingOf(question: Question, { decision, mode, reasons }: Decision, isBlocked: () => boolean): Decided {
  if (decision === 'allow') return 'allow'
  if (question !== 'capability_access' || mode !== 'shadow') return 'deny'
  return reasons.some(({ code }) => ALWAYS_ENFORCED.has(code)) || isBlocked() ? 'deny' : 'would_deny'
}

/** The ruling where the policy gave no decision: shadowed calls pass, as long as the caller is not known to be blocked. */
export function rulingOnTrouble(question: Question, input: PolicyInput, own: OwnKnowledge): Undecided {
  if (question !== 'capability_access') return 'error'
  return own.modeOf(input) === 'shadow' && !own.isBlocked(input) ? 'unevaluated' : 'error'
}
