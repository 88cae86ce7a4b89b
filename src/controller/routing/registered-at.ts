// When a worker registered: the later registration of one worker is the one that counts.
import { isoTime } from '../../core/iso-time.ts'

/**
 * The time of a registration at `nowMs` (Unix milliseconds): later than `previous`, the time of the one that it replaces. The
 * clocks of controllers differ, and one clock may be set back.
 */
export function registeredAfter(previous: string | undefined, nowMs: number): string {
  return isoTime(previous === undefined ? nowMs : Math.max(nowMs, Date.parse(previous) + 1))
}
