// The messages between a process that writes an audit log and the thread that keeps it.
import type { DiskOutlook } from '../../audit/outlook.ts'
import type { RetentionRules } from '../../audit/retention.ts'
import type { RemovalReason } from '../../audit/proof-event.ts'
import type { MinFree } from '../../platform/audit-settings.ts'

export type KeeperData = {
  readonly folder: string
  readonly keep: RetentionRules['keep']
  readonly full: RetentionRules['full']
  readonly minFree: MinFree
  /** Whether records have to be shipped before they may be removed. */
  readonly ships: boolean
}

/** `look`: after new records, or after a while. `remove`: after the record of it is durable. */
export type KeeperTask =
  { readonly kind: 'look'; readonly nowMs: number } | { readonly kind: 'remove'; readonly files: readonly string[] }

/** Segments that may go, and what the record of it says. */
export type Removable = {
  readonly files: readonly string[]
  readonly reason: RemovalReason
  readonly firstSeq: number
  readonly lastSeq: number
  readonly lastHash: string
}

export type KeeperReport = {
  readonly disk: DiskOutlook
  readonly segments: number
  readonly removable: Removable | undefined
  /** What could not be done, a sentence each; it is tried again. */
  readonly faults: readonly string[]
  /** There is more to do at once. */
  readonly more: boolean
}
