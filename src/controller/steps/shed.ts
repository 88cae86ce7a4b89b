// On the path of every call. Between refusing and calling: while the error budget of the capability burns, some calls of low
// priority end here, so that the others get through.
import type { Capability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import type { RouteCall, RouteOutcome } from '../call.ts'

type ShedDeps = {
  /** Seconds after which to try again, or undefined to let the call pass. */
  readonly refuse: (capability: Capability, priority: Priority) => number | undefined
}

/** The outcome of a call that is shed; undefined lets it pass. */
export function createShed({ refuse }: ShedDeps): (call: RouteCall) => RouteOutcome | undefined {
  return ({ capability, priority }) => {
    const retryAfterS = refuse(capability, priority)
    if (retryAfterS === undefined) return undefined
    const reason = `too many calls of ${capability} fail or are slow; calls of ${priority} priority wait, try again later`
    const error = new AppError('slo_shed', reason, { retryAfterS })
    const { status } = error.kind
    return { outcome: 'refused', status, error, effect: 'none', workerId: null, attempts: 0, durationMs: 0 }
  }
}
