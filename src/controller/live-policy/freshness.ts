// Tracks when the policy in force was last confirmed to be the intended one, and reports when that is too long ago.
import { isoTime } from '../../core/iso-time.ts'
import type { PolicyLog } from './guard.ts'

/** `warn`: log and metric. `degrade`: not ready, but decides. `deny`: no decision is made. */
export type StalenessAction = 'warn' | 'degrade' | 'deny'

type FreshnessOptions = {
  /** Undefined: never stale. */
  readonly maxStalenessMs: number | undefined
  readonly log: PolicyLog
  readonly now: () => number
  /** To measure the age, which a step of the wall clock must not change. */
  readonly monotonic: () => number
}

export type Freshness = {
  /** Confirms the policy at `atMs` of the wall clock, default now; a time before the last confirmation is ignored. */
  readonly confirm: (atMs?: number) => void
  /** Unix ms of the last confirmation. */
  readonly lastSuccessMs: () => number
  readonly isStale: () => boolean
  /** Logs when the policy has become stale, or fresh again. */
  readonly watch: () => void
}

/** Starts fresh: a policy that was just loaded is the one on disk. */
export function createFreshness({ maxStalenessMs, log, now, monotonic }: FreshnessOptions): Freshness {
  let lastMs = now()
  let last = monotonic()
  let wasStale = false
  const isStale = (): boolean => maxStalenessMs !== undefined && monotonic() - last > maxStalenessMs
  return {
    confirm(atMs = now()) {
      const at = monotonic() - Math.max(0, now() - atMs)
      if (at < last) return
      last = at
      lastMs = atMs
    },
    lastSuccessMs: () => lastMs,
    isStale,
    watch() {
      const stale = isStale()
      if (stale === wasStale) return
      wasStale = stale
      const fields = { last_success: isoTime(lastMs), max_staleness_ms: maxStalenessMs }
      if (stale) log.error({ event: 'policy_stale', ...fields }, 'the policy has not been confirmed for too long')
      else log.info({ event: 'policy_fresh', ...fields }, 'the policy is confirmed again')
    },
  }
}
