// How long shipping pauses: while there is nothing to ship, and after something has failed.

export type Pace = { readonly idleMs: number; readonly firstRetryMs: number; readonly maxRetryMs: number }

export const PACE: Pace = { idleMs: 500, firstRetryMs: 1000, maxRetryMs: 60_000 }

/** Exponential with jitter. `attempt`: from 0. `random`: from 0 to below 1. */
export function retryPauseMs(attempt: number, { firstRetryMs, maxRetryMs }: Pace, random: number): number {
  return Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(attempt, 30)) * (0.5 + random / 2)
}
