// Logs where the candidate policy would decide differently: a limited number per second, and the rest as a count.
import { traceFields } from '../../core/trace-context.ts'
import type { Comparison } from './candidate.ts'
import type { PolicyLog } from '../live-policy/guard.ts'

type DisagreementOptions = {
  readonly log: PolicyLog
  readonly perSecond: number
  /** Monotonic ms. */
  readonly monotonic: () => number
}

/** Logs a comparison whose two decisions differ; `suppressed`: how many were left out since the last line. */
export function createDisagreementLog({ log, perSecond, monotonic }: DisagreementOptions): (c: Comparison) => void {
  let secondFromMs = -Infinity
  let logged = 0
  let suppressed = 0
  return ({ input, trace, active, candidate }) => {
    if (active.decision === candidate.decision) return
    const atMs = monotonic()
    if (atMs - secondFromMs >= 1000) {
      secondFromMs = atMs
      logged = 0
    }
    if (logged >= perSecond) {
      suppressed += 1
      return
    }
    logged += 1
    const { identity, action, context } = input
    const fields = {
      requester: identity.spiffe_id,
      capability: `${action.verb}:${action.capability}`,
      active: active.decision,
      candidate: candidate.decision,
      active_reasons: active.reasons.map(({ code }) => code),
      candidate_reasons: candidate.reasons.map(({ code }) => code),
      ...(trace && traceFields(trace)),
      decision_id: context.decision_id,
      suppressed,
    }
    suppressed = 0
    log.warn({ event: 'candidate_disagrees', ...fields }, 'the candidate policy decides differently')
  }
}
