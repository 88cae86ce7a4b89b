// Before a further attempt: a new decision if the policy has changed since the last one, or if that one is older than a second.
// It is recorded like the first, with an id of its own that points to the call.
import { toAppError, type AppError } from '../../core/errors.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall } from '../call.ts'
import { refuseUnlessPassed } from './refuse.ts'

type DecideAgainDeps = {
  readonly judge: (call: RouteCall) => Verdict | Promise<Verdict>
  readonly recordVerdict: (call: RouteCall, verdict: Verdict) => Promise<void>
  readonly revision: () => string
  /** Unix ms. */
  readonly now: () => number
  readonly newId: () => string
}

/** `call`: with the id of the decision that lets it pass. */
export type DecidedCall = { readonly call: RouteCall; readonly verdict: Verdict }
/** Undefined: the last decision still counts. Never rejects: an error refuses the call. */
export type DecideAgain = (decided: DecidedCall) => Promise<DecidedCall | AppError> | undefined

const MAX_AGE_MS = 1000

export function createDecideAgain(deps: DecideAgainDeps): DecideAgain {
  return ({ call, verdict }) => {
    // After a step of the clock the age may be negative: then nothing is known of it.
    const ageMs = Math.abs(deps.now() - Date.parse(verdict.input.context.timestamp))
    const isFresh = verdict.revision === deps.revision() && ageMs <= MAX_AGE_MS
    return isFresh ? undefined : decide(deps, call)
  }
}

async function decide(
  { judge, recordVerdict, newId }: DecideAgainDeps,
  call: RouteCall,
): Promise<DecidedCall | AppError> {
  try {
    const again = { ...call, decisionId: newId(), retryOf: call.retryOf ?? call.decisionId }
    const verdict = await judge(again)
    await recordVerdict(again, verdict)
    refuseUnlessPassed(verdict, 'capability_access_denied')
    return { call: again, verdict }
  } catch (cause: unknown) {
    return toAppError(cause, 'internal_error')
  }
}
