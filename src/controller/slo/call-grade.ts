// On the path of every call with an SLO. What the end of a call says about the mesh. Only authorised calls get here, so a
// denial never counts.
import type { ErrorCode } from '../../core/errors.ts'
import type { Outcome } from '../../core/outcome.ts'

/** `skipped`: it says nothing about the mesh, and counts neither way. */
export type Grade = 'good' | 'bad' | 'skipped'

/** How a call ended. `error`: what the caller got; undefined if the answer is the worker's, complete or not. */
export type CallEnd = {
  readonly outcome: Outcome
  readonly status: number
  readonly error: { readonly code: ErrorCode } | undefined
  /** Until the answer began; undefined if none began now. */
  readonly firstByteMs?: number | undefined
}

/**
 * Skipped are a caller's errors (4xx by the worker or the controller), callers that left, and calls that an SLO shed: counted as
 * bad they would keep the burn, and with it the shedding, alive. An answer that broke off is bad, whatever its status.
 */
export function gradeOf({ outcome, status, error }: CallEnd): Grade {
  switch (outcome) {
    case 'completed':
      return status >= 400 ? 'skipped' : 'good'
    case 'caller_left':
      return 'skipped'
    case 'refused':
      return error?.code === 'slo_shed' || status < 500 ? 'skipped' : 'bad'
    case 'worker_failed':
    case 'timeout':
    case 'shutdown':
    case 'unknown':
      return error !== undefined && status < 500 ? 'skipped' : 'bad'
    default:
      return outcome satisfies never
  }
}
