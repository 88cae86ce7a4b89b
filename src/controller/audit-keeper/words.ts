// The messages between a process that writes an audit log and the thread that keeps it.
import type { DiskOutlook } from '../../audit/outlook.ts'
import type { RetentionRules } from '../../audit/retention.ts'
import type { RemovalReason } from '../../audit/proof-event.ts'
import type { ShippedFrom } from '../audit-shipping/log-record.ts'
import type { ShippingStanding } from '../audit-shipping/shipper.ts'
import type { ShippingTarget } from '../audit-shipping/target.ts'
import type { MinFree } from '../../platform/audit-settings.ts'
import type { NatsTarget } from '../../platform/nats/nats-settings.ts'
import type { SentSvid } from '../../platform/tls/sent-svid.ts'

export type KeeperData = {
  /** The slot's. Beside it are those of the other slots, which share the disk. */
  readonly folder: string
  readonly keep: RetentionRules['keep']
  /** The same for all slots together. */
  readonly keepOfAll: RetentionRules['keep']
  readonly full: RetentionRules['full']
  readonly minFree: MinFree
  readonly slot: number
  /** Where records are shipped to. Until all of these have them, they are not removed. */
  readonly shipping: readonly KeeperShipping[]
  /** A BigUint64Array of one: the number of the last durable record. */
  readonly durableSeq: SharedArrayBuffer
}

/** `host`: the name of this machine. `name`: of the connection, in NATS' own monitoring. */
export type KeeperShipping =
  | { readonly to: 'otlp'; readonly target: ShippingTarget; readonly from: ShippedFrom }
  | { readonly to: 'nats'; readonly target: NatsTarget; readonly host: string; readonly name: string }

/** A line for the log of the process. */
export type KeeperNews = {
  readonly level: 'info' | 'warn'
  readonly fields: object
  readonly message: string
}

/**
 * `look`: after new records, or after a while; `svid`: the identity of the process, if the thread does not have this one yet.
 * `remove`: after the record of it is durable.
 */
export type KeeperTask =
  | { readonly kind: 'look'; readonly nowMs: number; readonly svid: SentSvid | undefined }
  | { readonly kind: 'remove'; readonly files: readonly string[] }

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
  /** One for each target. */
  readonly shipping: readonly ShippingStanding[]
  readonly removable: Removable | undefined
  /** What could not be done, a sentence each; it is tried again. */
  readonly faults: readonly string[]
  /** There is more to do at once. */
  readonly more: boolean
}
