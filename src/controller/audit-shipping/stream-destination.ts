// The stream of the mesh as a destination. The stream itself says how far it has the chain of this slot, so that nothing is
// stored twice or out of order, however long the stream or the controller was away; the place on the disk is only a hint.
import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { shippedFile, type Shipped } from '../../audit/shipped.ts'
import { ConnectionWatch } from '../../platform/nats/connection-watch.ts'
import { natsFault } from '../../platform/nats/nats-fault.ts'
import { isOutOfStep, openAuditStream, type AuditStreamStore, type LastStored } from './audit-stream-store.ts'
import type { ChainReader } from './chain-reader.ts'
import { newChainName, readChainName, writeChainName, type ChainName } from './chain-name.ts'
import type { Batch, Delivery, DeliveryOptions, Destination, ShipLog } from './destination.ts'
import { retryPauseMs, type Pace } from './pace.ts'

type StreamOptions = {
  /** The folder of the slot. */
  readonly folder: string
  readonly slot: number
  /** The name of this machine. */
  readonly host: string
  /** How often the stream is stored, if it has to be made. */
  readonly replicas: number
  readonly connect: () => Promise<NatsConnection>
  readonly pace: Pace
  /** From 0 to below 1. */
  readonly random: () => number
  readonly log: ShipLog
}

/** How often the last stored record is looked for in the log before the log counts as another one: a segment may just be renamed. */
const LOOKS = 3

export function createStreamDestination(options: StreamOptions): Destination {
  return new StreamDestination(options)
}

class StreamDestination implements Destination {
  readonly name = 'nats'
  readonly takesCheckpoints = false
  readonly #options: StreamOptions
  #connection: ConnectionWatch | undefined
  #store: AuditStreamStore | undefined
  #chain: ChainName | undefined
  /** The number of the chain's last message in the stream. */
  #lastSeq = 0
  #failures = 0
  #looks = 0
  #isClosed = false

  constructor(options: StreamOptions) {
    this.#options = options
  }

  async resume(reader: ChainReader, shipped: Shipped | undefined): Promise<Shipped | undefined> {
    try {
      const store = (this.#store = await this.#open())
      const name = (this.#chain ??= await this.#name())
      const last = await store.lastOf(name.chain)
      this.#lastSeq = last?.streamSeq ?? 0
      const isSame = name.stream === store.created
      const known = isSame ? shipped : undefined
      if (!isSame) await this.#belongTo(store.created, name)
      return last === undefined ? await afterPlace(reader, known) : await this.#afterStored(reader, shipped, last)
    } catch (cause: unknown) {
      await this.#connection?.move().catch(nothing)
      throw new Error(natsFault(cause), { cause })
    }
  }

  async deliver({ lines }: Batch, { signal, onFailed }: DeliveryOptions): Promise<Delivery> {
    // A line that is no record has no number: the stream lacks it, as the log does for `crank audit verify`.
    const records = lines.flatMap(({ text, record }) => (record === undefined ? [] : [{ text, record }]))
    if (records.length === 0) return 'done'
    try {
      if (this.#store === undefined || this.#chain === undefined) return 'unsure'
      this.#lastSeq = await this.#store.append(this.#chain.chain, records, this.#lastSeq)
      this.#failures = 0
      return 'done'
    } catch (cause: unknown) {
      if (signal.aborted) return 'ended'
      this.#failures += 1
      // Once is nothing unusual: the answer to the batch before was lost.
      if (isOutOfStep(cause) && this.#failures === 1) return 'unsure'
      onFailed(natsFault(cause))
      await this.#pause(this.#failures - 1, signal)
      return 'unsure'
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#connection?.nc.close()
  }

  /** The stream, over a connection that is up. */
  async #open(): Promise<AuditStreamStore> {
    const { connect, replicas, host, slot } = this.#options
    if (this.#connection === undefined || this.#connection.isClosed()) {
      this.#connection = new ConnectionWatch(await connect())
      // It was closed while this connection was made.
      if (this.#isClosed) await this.#connection.nc.close()
    }
    // What is asked over a connection that is down would be sent later, when nobody waits for it.
    if (this.#connection.isUp()) return openAuditStream(this.#connection.nc, { replicas, writer: { host, slot } })
    throw new Error('the connection to NATS is lost; it is made again as soon as a server can be reached')
  }

  /** The place on the disk is that of another stream: it must be gone before the name says otherwise. */
  async #belongTo(stream: string, name: ChainName): Promise<void> {
    await rm(shippedFile(this.#options.folder, 'nats'), { force: true })
    this.#chain = await this.#keep({ ...name, stream })
  }

  async #name(): Promise<ChainName> {
    return (await readChainName(this.#options.folder)) ?? (await this.#keep(newChainName()))
  }

  async #keep(name: ChainName): Promise<ChainName> {
    await writeChainName(this.#options.folder, name)
    return name
  }

  /** Behind the last record that the stream has. */
  async #afterStored(
    reader: ChainReader,
    shipped: Shipped | undefined,
    { head }: LastStored,
  ): Promise<Shipped | undefined> {
    const place = shipped?.hash === head.hash ? shipped : { ...head, position: 0, before: null }
    if (await reader.resume(place, place.position)) {
      this.#looks = 0
      return place
    }
    this.#looks += 1
    if (this.#looks < LOOKS)
      throw new Error(`record ${head.seq}, the last that the stream has, is not found in the audit log`)
    return this.#begin(reader, head.seq)
  }

  /** The log is another one than the stream has, such as after a backup was restored: it becomes a chain of its own. */
  async #begin(reader: ChainReader, seq: number): Promise<undefined> {
    const { slot, log } = this.#options
    const former = this.#chain?.chain
    this.#chain = await this.#keep({ ...newChainName(), stream: this.#store?.created ?? null })
    this.#lastSeq = 0
    this.#looks = 0
    log.warn(
      { event: 'audit_ship_parted', slot, target: 'nats', seq, former_chain: former, chain: this.#chain.chain },
      'the last record that the stream has is not in the audit log any more; the log is shipped from its beginning as another chain',
    )
    await reader.resume(undefined)
    return undefined
  }

  async #pause(attempt: number, signal: AbortSignal): Promise<void> {
    const { pace, random } = this.#options
    await delay(retryPauseMs(attempt, pace, random()), undefined, { signal }).catch(() => undefined)
  }
}

/** The stream has nothing of this chain: it never had, or its limits have removed it. */
async function afterPlace(reader: ChainReader, known: Shipped | undefined): Promise<Shipped | undefined> {
  if (await reader.resume(known, known?.position)) return known
  await reader.resume(undefined)
  return undefined
}

function nothing(): void {
  // It is lost, or closed: it is made again anyway.
}
