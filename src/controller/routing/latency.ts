// On the path of every call. A moving average of the time to the first byte: recent samples count more, failures count as slow.
// Plain numbers, so that a call allocates nothing here. An average of 0 means: no sample yet.

/** After this time without a sample, the next sample counts as much as all before it. */
const HALF_MS = 10_000
/** The least that a sample counts, however soon after another it comes. */
const LEAST_SHARE = 0.2
/** A refused connection takes a millisecond: it must not look like a fast answer. */
const FAILED_FACTOR = 10
const FAILED_MIN_MS = 100
const MAX_MS = 60_000
/** Below it, differences come from the clock. */
const MIN_MS = 0.05

/** The sample of a failed attempt that took `ms`. */
export function sampleOfFailure(averageMs: number, ms: number): number {
  return Math.max(ms, averageMs * FAILED_FACTOR, FAILED_MIN_MS)
}

/** The average with one sample more, `ageMs` after the last one. */
export function nextAverage(averageMs: number, sampleMs: number, ageMs: number): number {
  const sample = Math.min(Math.max(sampleMs, MIN_MS), MAX_MS)
  if (averageMs === 0) return sample
  const share = Math.max(LEAST_SHARE, ageMs / (ageMs + HALF_MS))
  return averageMs + (sample - averageMs) * share
}

/** The average, halved after ten seconds without a sample. */
export function fadedAverage(averageMs: number, ageMs: number): number {
  return ageMs <= 0 ? averageMs : (averageMs * HALF_MS) / (HALF_MS + ageMs)
}
