// Detects that the wall clock was set, by comparing it with the monotonic clock. Slewing changes both alike.

export type ClockWatch = {
  /** By how many milliseconds the wall clock was set since the last `told`; 0 if it was not. */
  readonly look: () => number
  readonly told: () => void
}

/** A smaller difference is not a step: leap seconds, and the time between two readings. */
const STEP_MS = 2000
/** If the process is stopped between two readings for longer than this, they cannot be compared. */
const READING_MS = 500

export function createClockWatch(clocks: { readonly now: () => number; readonly monotonic: () => number }): ClockWatch {
  let offset = clocks.now() - clocks.monotonic()
  let stepMs = 0
  return {
    look() {
      const before = clocks.monotonic()
      const current = clocks.now() - before
      if (clocks.monotonic() - before > READING_MS) return Math.round(stepMs)
      if (Math.abs(current - offset) > STEP_MS) stepMs += current - offset
      offset = current
      return Math.round(stepMs)
    },
    told() {
      stepMs = 0
    },
  }
}
