/**
 * How an allowed call ended. `worker_failed`: no worker could do it, or one answered badly.
 * `shutdown`: the controller's drain was over and cut it. `unknown`: sent, the connection broke before an answer, and nobody knows whether the work was done.
 */
export type Outcome = (typeof OUTCOMES)[number]
export const OUTCOMES = ['completed', 'caller_left', 'worker_failed', 'timeout', 'shutdown', 'unknown'] as const
