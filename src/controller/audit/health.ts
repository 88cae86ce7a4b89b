// Whether the audit log works. An outage ends only when a record of it is durable.
import type { Head } from '../../audit/chain.ts'

/**
 * `lastDurableMs`: wall clock of the last durable write. `reason` (without a path): why not ok; or, when ok, that the log
 * continues in a new file. `oldestMs`: how long the oldest record has waited for the disk, 0 when none waits.
 */
export type AuditHealth = {
  readonly ok: boolean
  readonly reason?: string
  readonly queued: number
  readonly oldestMs: number
  readonly lastDurableMs?: number
  readonly head: Head
}

export type Outage = { readonly reason: string; readonly sinceMs: number; refused: number }

export type OutageTracker = {
  /** The current outage, or undefined. */
  current(): Outage | undefined
  /** Begins an outage, or adds to the current one. @returns whether it began. */
  failed(reason: string, refused: number): boolean
  /** Ends the outage. */
  recovered(): void
}

export function createOutageTracker(now: () => number): OutageTracker {
  let outage: Outage | undefined

  return {
    current: () => outage,
    failed(reason, refused) {
      if (outage !== undefined) {
        outage.refused += refused
        return false
      }
      outage = { reason, sinceMs: now(), refused }
      return true
    },
    recovered() {
      outage = undefined
    },
  }
}
