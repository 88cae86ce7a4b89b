// On the path of every call. A moving average of the time to the first byte: recent samples count more, failures count as slow.

/** `ms` 0: no sample yet. */
export type Latency = { readonly ms: number; readonly atMs: number }
type Sample = { readonly ms: number; readonly hasFailed: boolean; readonly nowMs: number }

export const NO_LATENCY: Latency = { ms: 0, atMs: 0 }

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

export function observed({ ms, atMs }: Latency, sample: Sample): Latency {
  const { hasFailed, nowMs } = sample
  const slow = hasFailed ? Math.max(sample.ms, ms * FAILED_FACTOR, FAILED_MIN_MS) : sample.ms
  const next = Math.min(Math.max(slow, MIN_MS), MAX_MS)
  if (ms === 0) return { ms: next, atMs: nowMs }
  const age = Math.max(0, nowMs - atMs)
  const share = Math.max(LEAST_SHARE, age / (age + HALF_MS))
  return { ms: ms + (next - ms) * share, atMs: nowMs }
}

/** The average, halved after ten seconds without a sample. */
export function fadedLatency({ ms, atMs }: Latency, nowMs: number): number {
  const age = nowMs - atMs
  return age <= 0 ? ms : (ms * HALF_MS) / (HALF_MS + age)
}
