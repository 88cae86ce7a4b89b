// On the path of every call. The share of a worker that has just become live: its caches are cold and its code is not
// compiled, so that its part of the calls rises over ten seconds.

export const SLOW_START_MS = 10_000
const FIRST_SHARE = 0.1

/** From 0.1 to 1, by the time since the worker became live. */
export function startShare(liveForMs: number): number {
  return liveForMs >= SLOW_START_MS ? 1 : Math.max(FIRST_SHARE, liveForMs / SLOW_START_MS)
}
