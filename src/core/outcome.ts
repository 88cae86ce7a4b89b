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

/** What a call did. `none`: no worker began to work. `answered`: a worker's answer, complete. `unclear`: anything else. */
export type Effect = 'none' | 'answered' | 'unclear'
