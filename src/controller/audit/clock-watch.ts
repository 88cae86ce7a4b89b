// Notices that the wall clock was set: by how much it moved other than the monotonic clock did. Slewing moves both.

export type ClockWatch = {
  /** Milliseconds that the wall clock was set by since the last `told`; 0 when it was not. */
  readonly look: () => number
  readonly told: () => void
}

/** Less is no step: leap seconds, and what passes between two readings. */
const STEP_MS = 2000
/** Between two readings the process may be stopped; what they say together is then worth nothing. */
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
