// The time of spans: a monotonic clock that is set from the wall clock. `Date.now()` counts whole milliseconds, so a span
// could seem to start up to 1 ms before its parent in another process; the moment at which the count changes is exact.

/** Unix milliseconds with a fraction, never decreasing. All spans of a call use the same one, so that they nest correctly. */
export type SpanTime = () => number

type SpanClockOptions = { readonly wall: () => number; readonly monotonic: () => number }

const VALID_MS = 60_000
/** The longest time between two readings; if it was longer, other work ran in between, and the next tick is awaited. */
const EXACT_MS = 0.005
const MAX_TICKS = 10
/** The maximum number of readings of a clock that does not advance, as in a test; a tick takes some ten thousand readings. */
const MAX_LOOKS = 1_000_000

/** A clock that is set again once a minute, which takes a millisecond. */
export function createSpanClock({ wall, monotonic }: SpanClockOptions): () => SpanTime {
  let setAt = Number.NEGATIVE_INFINITY
  let time: SpanTime = wall
  return () => {
    if (monotonic() - setAt < VALID_MS) return time
    const offset = offsetBetween(wall, monotonic)
    setAt = monotonic()
    time = () => offset + monotonic()
    return time
  }
}

function offsetBetween(wall: () => number, monotonic: () => number): number {
  let best = { offset: wall() - monotonic(), errorMs: Number.POSITIVE_INFINITY }
  for (let tick = 0; tick < MAX_TICKS && best.errorMs > EXACT_MS; tick += 1) {
    const found = nextTick(wall, monotonic)
    if (found === undefined) break
    if (found.errorMs < best.errorMs) best = found
  }
  return best.offset
}

function nextTick(wall: () => number, monotonic: () => number): { offset: number; errorMs: number } | undefined {
  let before = monotonic()
  const from = wall()
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    const between = monotonic()
    const now = wall()
    const after = monotonic()
    // The tick came after the previous reading began and before this one ended.
    if (now !== from) return { offset: now - after, errorMs: after - before }
    before = between
  }
  return undefined
}
