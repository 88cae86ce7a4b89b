// How long ago it was last seen that the policy in force is the one it should be, and what follows when that is too long.
import { isoTime } from '../../core/iso-time.ts'
import type { PolicyLog } from './guard.ts'

/** `warn`: log and metric. `degrade`: not ready, but decides. `deny`: no decision is made. */
export type StalenessAction = 'warn' | 'degrade' | 'deny'

type FreshnessOptions = {
  /** Undefined: never too old. */
  readonly maxStalenessMs: number | undefined
  readonly log: PolicyLog
  readonly now: () => number
  /** For the age, which a step of the wall clock must not change. */
  readonly monotonic: () => number
}

export type Freshness = {
  /** Seen at `atMs` of the wall clock, now if left out; an earlier one than the last is ignored. */
  readonly confirm: (atMs?: number) => void
  /** Unix ms of the last confirmation. */
  readonly lastSuccessMs: () => number
  readonly isStale: () => boolean
  /** Logs when it has become stale or fresh again. */
  readonly watch: () => void
}

/** Begins fresh: a policy that was just loaded is the one on disk. */
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
