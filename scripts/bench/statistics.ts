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

/**
 * Where the median of all possible rounds lies, with at least 95 %, whatever their distribution: between the k-th smallest and the
 * k-th largest of those that were measured (sign test). Undefined for fewer than six, of which no pair says that much.
 */
export function medianRange(values: readonly number[]): { low: number; high: number } | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const n = sorted.length
  // P(at most k of n fair coins show heads), summed up as long as both tails together stay below 5 %.
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

/** The middle one, or the mean of the middle two. NaN when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}
