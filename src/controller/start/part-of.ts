// The part of a limit that one of several processes has: the parts of all add up to the limit, but each is at least 1.
import type { Seat } from '../processes/words.ts'

export function partOf(limit: number, seat: Seat | undefined): number {
  if (seat === undefined || limit === Infinity) return limit
  const { slot, of } = seat
  return Math.max(1, Math.floor(limit / of) + (slot < limit % of ? 1 : 0))
}
