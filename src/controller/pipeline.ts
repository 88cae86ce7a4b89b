// On the path of every call. The whole sequence of a call: admit, decide, record, only then call a worker, and record again.
import type { Verdict } from '../policy/verdict.ts'
import type { RouteCall, RouteOutcome } from './call.ts'
import type { Admit } from './steps/admit.ts'
import type { Forward } from './steps/forward.ts'
import { afterRecord } from './steps/recorded.ts'
import { refuseUnlessPassed } from './steps/refuse.ts'
import { markedIfShadowed } from './steps/shadow-mark.ts'

/** The steps; each is created in `steps/` and wired in start/start-steps.ts. */
export type Steps = {
  /** Lets the call in, within limits. @throws {AppError} `rate_limited` or `overloaded` */
  readonly admit: Admit
  /** Asks the policy. Never rejects: a failure is part of the verdict. */
  readonly judge: (call: RouteCall) => Verdict | Promise<Verdict>
  /** Passes the question to the candidate policy, which decides nothing. Never throws. */
  readonly tryCandidate: (call: RouteCall, verdict: Verdict) => void
  /** Resolves when the verdict is durable. @throws {AppError} `audit_unavailable` */
  readonly recordVerdict: (call: RouteCall, verdict: Verdict) => Promise<void>
  /** The outcome of a call that is refused while an error budget burns; undefined lets it pass. */
  readonly shed: (call: RouteCall) => RouteOutcome | undefined
  /** Picks a worker, calls it and streams its answer to the caller. Never rejects. */
  readonly forward: Forward
  /** The same for a call with an idempotency key: at most one such call reaches a worker. Never rejects. */
  readonly once: Forward
  /** Writes the outcome. Its failure shows in readiness, not in the answer. */
  readonly recordOutcome: (call: RouteCall, outcome: RouteOutcome) => void
}

/** Takes one call from the decision to its outcome. @throws {AppError} when the caller has not been answered yet. */
export type RouteCapability = (call: RouteCall) => Promise<void>

export function createPipeline({
  admit,
  judge,
  tryCandidate,
  recordVerdict,
  shed,
  forward,
  once,
  recordOutcome,
}: Steps): RouteCapability {
  return async (asked) => {
    const entered = admit(asked)
    // Only a call that has to wait costs a turn here.
    using admitted = entered instanceof Promise ? await entered : entered
    const { call } = admitted
    const judged = judge(call)
    const verdict = judged instanceof Promise ? await judged : judged
    tryCandidate(call, verdict)
    await recordVerdict(call, verdict)
    admitted.decided(verdict)
    await afterRecord(async () => {
      refuseUnlessPassed(verdict, 'capability_access_denied')
      const passed = markedIfShadowed(call, verdict)
      // The store of keys is asked only now: a stored answer, too, is only for a caller that is authorised at this moment.
      const outcome =
        shed(call) ?? (await (call.idempotencyKey === undefined ? forward(passed, verdict) : once(passed, verdict)))
      recordOutcome(call, outcome)
      if (outcome.error !== undefined) throw outcome.error
    })
  }
}
