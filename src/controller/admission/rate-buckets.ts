// On the path of a call with a limit of rate. Token buckets as the generic cell rate algorithm (ITU-T I.371): one number per
// bucket, the time at which it would be full again, so that nothing has to be refilled.

/** `rate`: tokens per second; `burst`: tokens of a full bucket. */
type BucketShape = { readonly rate: number; readonly burst: number }

const ROUNDING_MS = 1e-6

type RateBuckets = {
  /** Takes a token. @returns 0, or the milliseconds until there is one */
  readonly take: (key: string, shape: BucketShape) => number
  /** Gives a token back that was taken for a call which another limit then refused. */
  readonly giveBack: (key: string, shape: BucketShape) => void
  readonly size: () => number
}

/** `fullAt`: when the bucket will be full again, monotonic ms. */
type Bucket = BucketShape & { readonly fullAt: number }

/**
 * Keeps the `maxBuckets` last used; one that is dropped starts full again, as does one whose rate or burst changes.
 * `monotonic`: milliseconds.
 */
export function createRateBuckets({
  maxBuckets,
  monotonic,
}: {
  readonly maxBuckets: number
  readonly monotonic: () => number
}): RateBuckets {
  /** By key, the last used last. */
  const buckets = new Map<string, Bucket>()

  function fullAtOf(key: string, { rate, burst }: BucketShape, now: number): number {
    const known = buckets.get(key)
    return known?.rate === rate && known.burst === burst ? Math.max(known.fullAt, now) : now
  }

  return {
    take(key, shape) {
      const now = monotonic()
      const perToken = 1000 / shape.rate
      const fullAt = fullAtOf(key, shape, now)
      const waitMs = fullAt + perToken * (1 - shape.burst) - now
      // Times have a fraction; a token that is missing only by rounding is there.
      if (waitMs > ROUNDING_MS) return waitMs
      buckets.delete(key)
      buckets.set(key, { ...shape, fullAt: fullAt + perToken })
      if (buckets.size > maxBuckets) dropOldest(buckets)
      return 0
    },
    giveBack(key, shape) {
      const known = buckets.get(key)
      if (known !== undefined) buckets.set(key, { ...known, fullAt: known.fullAt - 1000 / shape.rate })
    },
    size: () => buckets.size,
  }
}

function dropOldest(buckets: Map<string, Bucket>): void {
  const [oldest] = buckets.keys()
  if (oldest !== undefined) buckets.delete(oldest)
}
