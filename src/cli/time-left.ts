// How long something still holds, for people.

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** `6.9 days`; below two days in hours, below one hour in minutes. */
export function formatLeft(leftMs: number): string {
  if (leftMs > 2 * DAY_MS) return `${(leftMs / DAY_MS).toFixed(1)} days`
  if (leftMs >= HOUR_MS) return `${(leftMs / HOUR_MS).toFixed(1)} hours`
  return leftMs < MINUTE_MS ? 'less than a minute' : `${Math.floor(leftMs / MINUTE_MS)} min`
}
