// Which entries of the block list the self-check may use as a probe. A new entry may take some seconds to reach a sidecar;
// older entries must be known there.
import type { Blocked } from '../../policy/data/blocked.ts'

const ON_ITS_WAY_MS = 5000

/** Returns, for each check, which entries of `blocked` may be used; at the first check all. `monotonic`: ms. */
export function createBlockProbe(monotonic: () => number): (blocked: Blocked) => (entry: string) => boolean {
  let seen: Blocked | undefined
  let sinceMs = new Map<string, number>()
  return (blocked) => {
    const nowMs = monotonic()
    if (blocked !== seen) {
      const before = sinceMs
      const first = seen === undefined ? -Infinity : nowMs
      const entries = [...blocked.identities, ...blocked.capabilities]
      sinceMs = new Map(entries.map((entry) => [entry, before.get(entry) ?? first]))
      seen = blocked
    }
    return (entry) => nowMs - (sinceMs.get(entry) ?? nowMs) >= ON_ITS_WAY_MS
  }
}
