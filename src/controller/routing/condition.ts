// On the path of every call. What calls and probes have shown about a worker, and whether it may get another call.
import type { StateCause, WorkerState } from '../../core/worker-health.ts'

/** Changed by worker-health.ts only. Times in monotonic milliseconds. */
export type Condition = {
  state: Exclude<WorkerState, 'draining' | 'stale'>
  cause: StateCause
  sinceMs: number
  /** Failed attempts without a success between them. */
  failures: number
  /** Ejections in a row: each doubles the time of the next. */
  ejections: number
  /** When the last ejection ended. */
  returnedMs: number
  /** Calls that it had in flight when it became half-open: one more may go to it. */
  carried: number
}

type Judged = { readonly condition: Condition; readonly inFlight: number }

export function newCondition(nowMs: number): Condition {
  const none = { failures: 0, ejections: 0, returnedMs: 0, carried: 0 }
  return { state: 'live', cause: 'registered', sinceMs: nowMs, ...none }
}

/** False for a worker that gets no calls while others are left. */
export function isOpen({ condition, inFlight }: Judged): boolean {
  return condition.state === 'live' || (condition.state === 'half_open' && inFlight <= condition.carried)
}
