// What becomes of a call once the policy has spoken, or failed to: the only place where shadow mode lets something pass.
import { makeCapability } from '../core/capability.ts'
import type { Decision, Mode, PolicyInput, Question } from '../core/decision.ts'
import { HEADERS } from '../core/wire.ts'
import type { RouteCall, Ruling, Verdict } from '../controller/call.ts'
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
export function rulingOf(
  question: Question,
  { decision, mode, reasons }: Decision,
  isBlocked: () => boolean,
): 'allow' | 'deny' | 'would_deny' {
  if (decision === 'allow') return 'allow'
  if (question !== 'capability_access' || mode !== 'shadow') return 'deny'
  return reasons.some(({ code }) => ALWAYS_ENFORCED.has(code)) || isBlocked() ? 'deny' : 'would_deny'
}

/** The ruling where the policy gave no decision: shadowed calls pass, as long as the caller is not known to be blocked. */
export function rulingOnTrouble(question: Question, input: PolicyInput, own: OwnKnowledge): 'error' | 'unevaluated' {
  if (question !== 'capability_access') return 'error'
  return own.modeOf(input) === 'shadow' && !own.isBlocked(input) ? 'unevaluated' : 'error'
}

/** Whether a call with this ruling goes on to a worker. */
export function passes(ruling: Ruling): boolean {
  return ruling === 'allow' || ruling === 'would_deny' || ruling === 'unevaluated'
}

/** The call as it goes on: one that only shadow mode lets through tells its caller so, in a header of the answer. */
export function markedIfShadowed(call: RouteCall, { ruling }: Verdict): RouteCall {
  if (ruling === 'allow') return call
  const start: RouteCall['sink']['start'] = (status, headers) => {
    headers.push(HEADERS.shadow, ruling)
    call.sink.start(status, headers)
  }
  return { ...call, sink: { ...call.sink, start } }
}
