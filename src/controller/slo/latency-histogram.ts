// On the path of every call with an SLO. The times of the last hour by size, in buckets that grow by a quarter: a quantile
// is right to 25 %, and a count costs the same however many calls there are.
import { SlidingCounters } from './sliding-counters.ts'

const GROWTH = 1.25
const LOG_GROWTH = Math.log(GROWTH)
/** The last one begins at more than 10 minutes, and no call waits that long for its first byte. */
const BUCKETS = 64
const SLOT_MS = 300_000
const HOUR_SLOTS = 12

export class LatencyHistogram {
  readonly #counts: SlidingCounters

  constructor(nowMs: number) {
    this.#counts = new SlidingCounters({ slotMs: SLOT_MS, windows: [HOUR_SLOTS], counters: BUCKETS }, nowMs)
  }

  add(ms: number, nowMs: number): void {
    this.#counts.add(bucketOf(ms), nowMs)
  }

  /** The upper end of the bucket that has the quantile, in ms; undefined without a call. */
  quantile(q: number, nowMs: number): number | undefined {
    let total = 0
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) total += this.#counts.sum(0, bucket, nowMs)
    if (total === 0) return undefined
    let seen = 0
    let bucket = 0
    while (bucket < BUCKETS) {
      seen += this.#counts.sum(0, bucket, nowMs)
      if (seen >= q * total) break
      bucket += 1
    }
    return GROWTH ** Math.min(bucket, BUCKETS - 1)
  }
}

/** The first bucket whose upper end is not below `ms`: bucket 0 ends at 1 ms. */
function bucketOf(ms: number): number {
  if (ms <= 1) return 0
  return Math.min(Math.ceil(Math.log(ms) / LOG_GROWTH), BUCKETS - 1)
}
