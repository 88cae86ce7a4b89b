// The port of shipping: where the records of a slot go. There is a collector of logs (otlp-destination.ts) and the stream of the
// mesh (stream-destination.ts); each has a place of its own on the disk.
import type { Shipped, ShippedTo } from '../../audit/shipped.ts'
import type { ChainReader, PlacedLine } from './chain-reader.ts'

/** `note`: the checkpoint of the slot, where the destination takes checkpoints and it is another than the last one. */
export type Batch = {
  readonly lines: readonly PlacedLine[]
  readonly note: string | undefined
  /** Unix ms. */
  readonly observedMs: number
}

/** Numbers of the first and the last record of those that were refused for good; null where that is not a record. */
export type Rejection = {
  readonly count: number
  readonly firstSeq: number | null
  readonly lastSeq: number | null
  readonly reason: string
}

export type DeliveryOptions = {
  /** Aborted: no further attempt. */
  readonly signal: AbortSignal
  readonly onFailed: (error: string) => void
  /** The destination will never have these. */
  readonly onRejected: (rejection: Rejection) => void
}

/** `done`: acknowledged, or rejected for good. `ended`: the signal ended it. `unsure`: only `resume` knows what has arrived. */
export type Delivery = 'done' | 'ended' | 'unsure'

export type Destination = {
  readonly name: ShippedTo
  readonly takesCheckpoints: boolean
  /**
   * Leads the reader behind the last record that the destination has. `shipped`: what the place on the disk says.
   * @returns that record; undefined: everything that there is has to be shipped. @throws {Error} when it is not known now
   */
  readonly resume: (reader: ChainReader, shipped: Shipped | undefined) => Promise<Shipped | undefined>
  /** Never rejects. */
  readonly deliver: (batch: Batch, options: DeliveryOptions) => Promise<Delivery>
  /** Also ends what is under way. */
  readonly close: () => Promise<void>
}

/** For what happened to the shipping of a slot. */
export type ShipLog = Readonly<Record<'info' | 'warn', (fields: object, message: string) => void>>
