// How long a sidecar has had other data than the policy folder. Some seconds are the way of every change; after that it
// decides by rights and blocks that nobody gave, and must not go on deciding.
import type { LoadedByOpa } from '../../policy/engine/opa-loaded.ts'
import { OpaBehindError } from '../../policy/engine/sidecar.ts'
import type { SelfCheckFault } from '../../policy/engine/self-check.ts'

const MAX_LAG_MS = 5000

type SidecarLag = {
  /** `seen`: what OPA says it has. `pending`: why the set on disk is not in force, if it is not. */
  readonly note: (seen: LoadedByOpa, pending: unknown) => void
  readonly fault: () => SelfCheckFault | undefined
}

/** `monotonic`: ms, for a duration that a step of the wall clock must not change. */
export function createSidecarLag(monotonic: () => number): SidecarLag {
  let sinceMs: number | undefined
  return {
    note(seen, pending) {
      sinceMs = isBehind(seen, pending) ? (sinceMs ?? monotonic()) : undefined
    },
    fault() {
      if (sinceMs === undefined || monotonic() - sinceMs < MAX_LAG_MS) return undefined
      const reason = `OPA has had other data than the policy folder for more than ${MAX_LAG_MS / 1000} s`
      return { code: 'policy_not_ready', reason }
    },
  }
}

/** Only a sound folder can say that OPA is wrong; a bundle's data cannot be seen. */
function isBehind(seen: LoadedByOpa, pending: unknown): boolean {
  if (seen.kind !== 'files') return false
  if (pending instanceof OpaBehindError) return pending.isDataOther
  return pending === undefined && !seen.isDataOurs
}
