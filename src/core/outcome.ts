import type { ErrorCode } from './errors.ts'

/**
 * How an allowed call ended. `worker_failed`: no worker could take the call, or the worker's answer was invalid.
 * `shutdown`: the controller cut the call when its drain time ended. `unknown`: the request was sent and the connection broke
 * before an answer, so the work may or may not have been done. `refused`: the controller ended an allowed call before it called
 * a worker, for a reason of the call's own.
 */
export type Outcome = (typeof OUTCOMES)[number]
export const OUTCOMES = [
  'completed',
  'caller_left',
  'worker_failed',
  'timeout',
  'shutdown',
  'unknown',
  'refused',
] as const

/**
 * Why a call was sent again. `busy`: the worker was at its limit. `unreached`: nothing was sent. `not_begun`: the worker refused
 * it before any work. `retry_safe`: the work may have begun, and may be done again under the same idempotency key.
 */
export type AttemptReason = (typeof ATTEMPT_REASONS)[number]
export const ATTEMPT_REASONS = ['busy', 'unreached', 'not_begun', 'retry_safe'] as const

/** What a call did. `none`: no worker began to work. `answered`: a worker's answer, complete. `unclear`: anything else. */
export type Effect = 'none' | 'answered' | 'unclear'

/** One attempt of a call that needed several. `reason`: why it was made, null for the first one. */
export type AttemptMade = {
  readonly worker_id: string
  /** The call's own, or that of the decision made again for this attempt. */
  readonly decision_id: string
  readonly reason: AttemptReason | null
  readonly outcome: Outcome
  readonly error: ErrorCode | null
  readonly sent: boolean
  readonly duration_ms: number
}
