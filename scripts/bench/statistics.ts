// Percentiles and medians. For few rounds on a shared machine: medians next to every round, never a mean.

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

/**
 * The interval that contains the median of all possible rounds with at least 95 % confidence, for any distribution:
 * from the k-th smallest to the k-th largest measured value (sign test). Undefined for fewer than six values, which
 * give no such interval.
 */
export function medianRange(values: readonly number[]): { low: number; high: number } | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const n = sorted.length
  // P(at most k of n fair coins show heads), summed while both tails together stay below 5 %.
  let share = 0.5 ** n
  let tail = share
  let k = 0
  while (2 * tail <= 0.05) {
    k += 1
    share *= (n - k + 1) / k
    tail += share
  }
  const [low, high] = [sorted[k - 1], sorted[n - k]]
  return low === undefined || high === undefined ? undefined : { low, high }
}

/** The middle value, or the mean of the middle two. NaN when empty. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}
