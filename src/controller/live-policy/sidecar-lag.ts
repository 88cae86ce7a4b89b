// Measures how long a sidecar has had different data than the policy folder. Every change takes some seconds; after that the
// sidecar decides by data that is no longer valid, and must not continue to decide.
import type { LoadedByOpa } from '../../policy/engine/opa-loaded.ts'
import { OpaBehindError } from '../../policy/engine/sidecar.ts'
import type { SelfCheckFault } from '../../policy/engine/self-check.ts'

const MAX_LAG_MS = 5000

type SidecarLag = {
  /** `seen`: what OPA reports to have loaded. `pending`: why the files on disk are not in force, if they are not. */
  readonly note: (seen: LoadedByOpa, pending: unknown) => void
  readonly fault: () => SelfCheckFault | undefined
}

/** `monotonic`: ms; a step of the wall clock must not change the duration. */
export function createSidecarLag(monotonic: () => number): SidecarLag {
  let sinceMs: number | undefined
  return {
    note(seen, pending) {
      sinceMs = isBehind(seen, pending) ? (sinceMs ?? monotonic()) : undefined
    },
    fault() {
      if (sinceMs === undefined || monotonic() - sinceMs < MAX_LAG_MS) return undefined
      const reason = `OPA has had different data than the policy folder for more than ${MAX_LAG_MS / 1000} s`
      return { code: 'policy_not_ready', reason }
    },
  }
}

/** Only a valid folder can show that OPA is behind; a bundle's data cannot be seen. */
function isBehind(seen: LoadedByOpa, pending: unknown): boolean {
  if (seen.kind !== 'files') return false
  if (pending instanceof OpaBehindError) return pending.isDataOther
  return pending === undefined && !seen.isDataOurs
}
