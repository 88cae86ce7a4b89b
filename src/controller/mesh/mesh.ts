// One controller's part of the mesh: what it tells the others of its workers over the shared store, and what it learns from
// them. No call waits for any of it. While the store is away the view stays as it is, and what happens here is written later.
import { randomUUID } from 'node:crypto'
import { STALE_AFTER_MISSED } from '../../core/wire.ts'
import type { Logger } from '../../platform/logger.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { within } from '../../platform/within.ts'
import type { Holder } from '../routing/registry.ts'
import type { Beat, RollChange } from '../routing/roll.ts'
import { viewBucket } from './bucket-view.ts'
import { decodeBeats, encodeBeats, type ToldBeat } from './beat-wire.ts'
import { createDrainShare } from './drain-share.ts'
import { decodeEntry, storeKeyOf, type LeaseEntry } from './lease-entry.ts'
import { LeaseTable } from './lease-table.ts'
import { createLeaseWriter } from './lease-writer.ts'
import { LEASE_MS } from '../store/buckets.ts'
import type { StoreLink, StoreSession, StoreView } from '../store/store-link.ts'

type MeshOptions = {
  readonly link: Pick<StoreLink, 'join' | 'session' | 'awayMs'>
  readonly heartbeatIntervalMs: number
  /** Makes a change that another controller has made, here. */
  readonly apply: (change: RollChange) => void
  /** Counts heartbeats that another controller was sent. */
  readonly beats: (beats: readonly Beat[]) => void
  /** Whether this worker is registered here, or awaited. */
  readonly isKnown: (holder: Holder) => boolean
  /** Who lost the worker id to a registered one. */
  readonly replacedBy: (holder: Holder) => ReadonlySet<string>
  /** The workers that are not stale, with their load. */
  readonly live: () => readonly Beat[]
  /** Called every second. */
  readonly onHealth?: (health: MeshHealth) => void
  readonly monotonic: () => number
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** `unwritten`: changes that the store does not have yet. */
export type MeshHealth = { readonly awayMs: number | undefined; readonly unwritten: number }

export type Mesh = {
  /** Tells the others about a change that was made here. Resolves when the store has it, but after 250 ms at the latest. */
  readonly changed: (change: RollChange) => Promise<void>
  /** A heartbeat that was sent to this controller. */
  readonly beat: (beat: Beat) => void
  /** When the worker of this name registered last in the mesh, as far as that is known. */
  readonly registeredAt: (worker: Pick<Holder, 'spiffeId' | 'workerId'>) => string | undefined
  /** Whether the mesh has exactly this registration: a controller has probed the worker when it registered. */
  readonly vouchesFor: (holder: Holder) => boolean
  readonly health: () => MeshHealth
  /** Resolves when the first view is complete; after `ms` at the latest. */
  readonly viewed: (ms: number) => Promise<void>
  readonly close: () => void
}

const MESSAGES = {
  mesh_entry_ignored: 'an entry of the shared store cannot be used, and is ignored',
  mesh_message_ignored: 'a message of another controller cannot be used, and is ignored',
  mesh_write_failed: 'an entry cannot be written to the shared store; it is tried again',
} as const
const BEATS = 'crank.beats'
const SHARE_MS = 250
const COLLECT_MS = 100
const TICK_MS = 1000

export function openMesh(options: MeshOptions): Mesh {
  return new Member(options)
}

class Member implements Mesh {
  readonly #options: MeshOptions
  /** Names this process in what it tells the others. */
  readonly #own = randomUUID()
  readonly #table: LeaseTable
  readonly #writer: ReturnType<typeof createLeaseWriter>
  readonly #drains: ReturnType<typeof createDrainShare>
  readonly #beats: ReturnType<typeof collectBeats>
  readonly #timer: NodeJS.Timeout
  readonly #viewed = Promise.withResolvers<undefined>()
  readonly #odd = createReportedFault()
  /** When the workers of others were last kept from looking silent. */
  #keptMs = -Infinity
  #tickMs = -Infinity

  constructor(options: MeshOptions) {
    this.#options = options
    const { link, monotonic, heartbeatIntervalMs, apply } = options
    this.#table = new LeaseTable({
      monotonic,
      staleMs: STALE_AFTER_MISSED * heartbeatIntervalMs,
      renewMs: LEASE_MS / 3,
    })
    const bucket = () => link.session()?.registry
    this.#writer = createLeaseWriter({
      ...{ table: this.#table, bucket, onFound: this.#found },
      onFailed: (key, cause) => this.#report({ event: 'mesh_write_failed', key }, cause),
    })
    const onOdd = (key: string, revision: number, cause: unknown): void =>
      this.#report({ event: 'mesh_entry_ignored', key, revision }, cause)
    this.#drains = createDrainShare({ link, apply, onOdd })
    this.#beats = collectBeats((told) => {
      for (const text of encodeBeats(this.#own, told)) link.session()?.nc.publish(BEATS, text)
    })
    link.join(async (session) => {
      const view = await viewRegistry(session, { table: this.#table, found: this.#found, heard: this.#heard })
      this.#viewed.resolve(undefined)
      return view
    })
    this.#timer = setInterval(() => this.#tick(), Math.min(TICK_MS, heartbeatIntervalMs)).unref()
  }

  readonly changed: Mesh['changed'] = async (change) => {
    if (change.kind === 'drained' || change.kind === 'undrained') return this.#drains.share(change)
    if (change.kind === 'dismissed') {
      this.#keepAwaited(change.holder)
      return
    }
    const entry = entryOf(change, this.#table, this.#options.replacedBy)
    if (entry === undefined || !this.#table.changed(entry)) return
    this.#writer.wake()
    await within(SHARE_MS, this.#writer.written(storeKeyOf(entry)))
  }

  /** The policy of this controller denies it: here it waits for another policy, and other controllers decide for themselves. */
  #keepAwaited(holder: Holder): void {
    const entry = this.#table.wordOf(holder)
    if (entry !== undefined) this.#learn(entry)
  }

  readonly beat: Mesh['beat'] = ({ holder, load }) => {
    const key = storeKeyOf(holder)
    if (this.#table.heard(key, holder.leaseHash, true) !== undefined)
      this.#beats.add({ key, lease: holder.leaseHash, load })
  }

  readonly registeredAt: Mesh['registeredAt'] = (worker) => this.#table.registeredAt(worker)

  readonly vouchesFor: Mesh['vouchesFor'] = (holder) => this.#table.isStored(holder)

  readonly health: Mesh['health'] = () => {
    return { awayMs: this.#options.link.awayMs(), unwritten: this.#table.dueCount() + this.#drains.unwritten() }
  }

  readonly viewed: Mesh['viewed'] = async (ms) => {
    await within(ms, this.#viewed.promise, { ref: true })
  }

  readonly close: Mesh['close'] = () => {
    clearInterval(this.#timer)
    this.#beats.close()
  }

  #tick(): void {
    const { link, apply, beats, live, onHealth, monotonic, heartbeatIntervalMs } = this.#options
    const nowMs = monotonic()
    // After a stop of this process, what has arrived meanwhile is read first.
    const isDeaf = link.awayMs() !== undefined || nowMs - this.#tickMs > STALE_AFTER_MISSED * heartbeatIntervalMs
    this.#tickMs = nowMs
    for (const holder of this.#table.renew(isDeaf)) apply({ kind: 'dismissed', holder })
    this.#writer.wake()
    this.#drains.again()
    // Nobody hears from other controllers now: their workers are not silent.
    if (link.awayMs() !== undefined && nowMs - this.#keptMs >= heartbeatIntervalMs) {
      this.#keptMs = nowMs
      beats(live())
    }
    onHealth?.(this.health())
  }

  /** One word of the store about one key. */
  readonly #found = (key: string, value: Uint8Array | undefined, revision: number): void => {
    if (value === undefined) {
      this.#table.lost(key, revision)
    } else {
      try {
        const entry = decodeEntry(key, Buffer.from(value).toString())
        if (this.#table.seen(key, entry, revision)) this.#learn(entry)
      } catch (cause: unknown) {
        // Written by a newer version, or by hand.
        this.#report({ event: 'mesh_entry_ignored', key, revision }, cause)
      }
    }
    this.#writer.wake()
  }

  #learn(entry: LeaseEntry): void {
    const { apply, isKnown } = this.#options
    const { spiffeId, workerId, leaseHash, registeredAt, body, replaced } = entry
    if (body === undefined) apply({ kind: 'dismissed', holder: { spiffeId, workerId, leaseHash } })
    else if (!isKnown(entry)) apply({ kind: 'learned', worker: { spiffeId, leaseHash, registeredAt, body, replaced } })
  }

  /** Heartbeats that another controller was sent. Never throws. */
  readonly #heard = (text: string): void => {
    const known: Beat[] = []
    for (const { key, lease, load } of this.#readBeats(text)) {
      const entry = this.#table.heard(key, lease, false)
      if (entry === undefined) continue
      // It was not there when this controller looked: it is, or the heartbeat would not have come.
      if (this.#options.isKnown(entry)) known.push({ holder: entry, load })
      else this.#learn(entry)
    }
    if (known.length > 0) this.#options.beats(known)
  }

  #readBeats(text: string): readonly ToldBeat[] {
    try {
      return decodeBeats(this.#own, text)
    } catch (cause: unknown) {
      this.#report({ event: 'mesh_message_ignored' }, cause)
      return []
    }
  }

  #report(
    fields: { readonly event: keyof typeof MESSAGES; readonly key?: string; readonly revision?: number },
    cause: unknown,
  ): void {
    const reason = cause instanceof Error ? cause.message : String(cause)
    if (!this.#odd.isNews(`${fields.event} ${fields.key ?? ''} ${reason}`)) return
    this.#options.log.warn({ ...fields, reason }, MESSAGES[fields.event])
  }
}

/** What the store gets to know of a change; undefined: nothing. */
function entryOf(change: RollChange, table: LeaseTable, replacedBy: MeshOptions['replacedBy']): LeaseEntry | undefined {
  switch (change.kind) {
    case 'registered':
    case 'restored': {
      const { registration, tenure, body } = change
      const { spiffeId, workerId } = registration
      return { ...tenure, spiffeId, workerId, body, replaced: replacedBy({ spiffeId, workerId, ...tenure }) }
    }
    case 'left':
      return table.endOf(change.holder)
    case 'dismissed':
    case 'learned':
    case 'unconfirmed':
    case 'drained':
    case 'undrained':
      return undefined
    default:
      return change satisfies never
  }
}

function collectBeats(send: (told: readonly ToldBeat[]) => void) {
  let collected = new Map<string, ToldBeat>()
  let timer: NodeJS.Timeout | undefined
  return {
    add(beat: ToldBeat): void {
      collected.set(beat.key, beat)
      timer ??= setTimeout(() => {
        timer = undefined
        send([...collected.values()])
        collected = new Map()
      }, COLLECT_MS).unref()
    },
    close: () => clearTimeout(timer),
  }
}

type ViewOptions = {
  readonly table: LeaseTable
  readonly found: (key: string, value: Uint8Array | undefined, revision: number) => void
  readonly heard: (text: string) => void
}

/** Resolves when everything that the store has is known. */
async function viewRegistry(session: StoreSession, { table, found, heard }: ViewOptions): Promise<StoreView> {
  const { nc, registry, signal } = session
  const beats = nc.subscribe(BEATS, {
    // Without the right to listen there is an error, and no message.
    callback: (error, message) => {
      if (error === null) heard(message.string())
    },
  })
  signal.addEventListener('abort', () => beats.unsubscribe())
  const view = await viewBucket({ session, bucket: registry, onEntry: found })
  // Only a whole view says what the store lacks.
  if (view.isWhole) table.absent(view.present)
  return view
}
