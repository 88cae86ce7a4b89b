// Which entries of the block list the self-check may ask about. A new one may be on its way to a sidecar for some
// seconds; whatever was blocked before that must be known there.
import type { Blocked } from '../../policy/data/blocked.ts'

const ON_ITS_WAY_MS = 5000

/** For each look: what may be asked about in `blocked`. At the first look everything. `monotonic`: ms. */
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
