// On the path of every call. What is in flight, by caller and by capability: calls and the bytes of their bodies.

export type Usage = { calls: number; bytes: number }

type UsageTable = {
  /** The entry of a key; it stays the same object while anything is in flight. */
  readonly of: (key: string) => Usage
  /** The entry of a key, if there is one. */
  readonly peek: (key: string) => Usage | undefined
  readonly size: () => number
}

/** Keeps idle entries, so that a caller does not cost an allocation per call, but no more than `maxIdle` entries for long. */
export function createUsageTable(maxIdle: number): UsageTable {
  const entries = new Map<string, Usage>()
  let sweepAt = maxIdle
  return {
    of(key) {
      const known = entries.get(key)
      if (known !== undefined) return known
      if (entries.size >= sweepAt) {
        for (const [name, { calls }] of entries) if (calls === 0) entries.delete(name)
        // Entries in flight cannot be dropped: the next sweep comes when their number has doubled.
        sweepAt = Math.max(maxIdle, entries.size * 2)
      }
      const made = { calls: 0, bytes: 0 }
      entries.set(key, made)
      return made
    },
    peek: (key) => entries.get(key),
    size: () => entries.size,
  }
}
