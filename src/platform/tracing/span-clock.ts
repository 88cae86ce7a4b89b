// The time of spans: a monotonic clock that is set by the wall clock. `Date.now()` counts whole milliseconds, which puts a
// span up to one before its parent of another process; the moment at which it ticks is exact.

/** Unix milliseconds with their fraction, never going back: one for all spans of a call, so that they fit into each other. */
export type SpanTime = () => number

type SpanClockOptions = { readonly wall: () => number; readonly monotonic: () => number }

const VALID_MS = 60_000
/** What two looks at the clock may take; more, and something else ran in between: then another tick is waited for. */
const EXACT_MS = 0.005
const MAX_TICKS = 10
/** Of looks at a clock that stands still, as one of a test may: a tick is some ten thousand. */
const MAX_LOOKS = 1_000_000

/** A clock whose time is set again once a minute, which takes a millisecond. */
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
    // The tick came after the look before this one began, and before this one ended.
    if (now !== from) return { offset: now - after, errorMs: after - before }
    before = between
  }
  return undefined
}
