// Percentiles and medians. Few rounds on a shared machine: medians, with every round beside them, never a mean.

/** Milliseconds. */
export type Latency = { readonly p50: number; readonly p95: number; readonly p99: number }

/** Nearest rank; `values` is sorted in place. NaN when it is empty. */
export function latencyOf(values: Float64Array): Latency {
  values.sort()
  const rank = (part: number): number => values[Math.max(0, Math.ceil(values.length * part) - 1)] ?? Number.NaN
  return { p50: rank(0.5), p95: rank(0.95), p99: rank(0.99) }
}

export function sum(values: Iterable<number>): number {
  let all = 0
  for (const value of values) all += value
  return all
}

/** The middle one, or the mean of the middle two. NaN when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}
