// The messages between a process that writes an audit log and the thread that keeps it.
import type { DiskOutlook } from '../../audit/outlook.ts'
import type { RetentionRules } from '../../audit/retention.ts'
import type { RemovalReason } from '../../audit/proof-event.ts'
import type { ShippedFrom } from '../audit-shipping/log-record.ts'
import type { ShippingStanding } from '../audit-shipping/shipper.ts'
import type { ShippingTarget } from '../audit-shipping/target.ts'
import type { MinFree } from '../../platform/audit-settings.ts'

export type KeeperData = {
  /** The slot's. Beside it are those of the other slots, which share the disk. */
  readonly folder: string
  readonly keep: RetentionRules['keep']
  /** The same for all slots together. */
  readonly keepOfAll: RetentionRules['keep']
  readonly full: RetentionRules['full']
  readonly minFree: MinFree
  /** Where records are shipped to; undefined: nowhere. Until then they are not removed. */
  readonly shipping: KeeperShipping | undefined
  /** A BigUint64Array of one: the number of the last durable record. */
  readonly durableSeq: SharedArrayBuffer
}

type KeeperShipping = { readonly slot: number; readonly target: ShippingTarget; readonly from: ShippedFrom }

/** A line for the log of the process. */
export type KeeperNews = {
  readonly level: 'info' | 'warn'
  readonly fields: object
  readonly message: string
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
  /** Of this slot. `oldestMs`: time of the oldest record. */
  readonly bytes: number
  readonly oldestMs: number | undefined
  readonly segments: number
  readonly shipping: ShippingStanding | undefined
  readonly removable: Removable | undefined
  /** What could not be done, a sentence each; it is tried again. */
  readonly faults: readonly string[]
  /** There is more to do at once. */
  readonly more: boolean
}
