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
import { decodeEntry, storeKeyOf, type LeaseEntry } from './lease-entry.ts'
import { LeaseTable } from './lease-table.ts'
import { createLeaseWriter } from './lease-writer.ts'
import { LEASE_MS } from './buckets.ts'
import type { StoreLink, StoreSession } from './store-link.ts'

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
  readonly health: () => MeshHealth
  /** Resolves when the first view is complete; after `ms` at the latest. */
  readonly viewed: (ms: number) => Promise<void>
  readonly close: () => void
}

const BEATS = 'crank.beats'
const SHARE_MS = 250
const COLLECT_MS = 100
const TICK_MS = 1000

export function openMesh(options: MeshOptions): Mesh {
  const { link, monotonic, heartbeatIntervalMs, log, apply } = options
  const staleMs = STALE_AFTER_MISSED * heartbeatIntervalMs
  const table = new LeaseTable({ monotonic, staleMs, renewMs: LEASE_MS / 3 })
  const own = randomUUID()
  const first = Promise.withResolvers<undefined>()
  const odd = createReportedFault()

  /** One word of the store about one key. */
  function found(key: string, value: Uint8Array | undefined, revision: number): void {
    if (value === undefined) {
      const gone = table.lost(key, revision)
      if (gone !== undefined) apply({ kind: 'dismissed', holder: gone })
      writer.wake()
      return
    }
    try {
      const entry = decodeEntry(key, Buffer.from(value).toString())
      if (table.seen(key, entry, revision)) learn(entry)
      writer.wake()
    } catch (cause: unknown) {
      // Written by a newer version, or by hand.
      const reason = cause instanceof Error ? cause.message : String(cause)
      const message = 'an entry of the shared store cannot be used; the worker of it is not called from here'
      if (odd.isNews(`${key} ${reason}`)) log.warn({ event: 'mesh_entry_ignored', key, revision, reason }, message)
    }
  }

  function learn(entry: LeaseEntry): void {
    const { spiffeId, workerId, leaseHash, registeredAt, body, replaced } = entry
    if (body === undefined) apply({ kind: 'dismissed', holder: { spiffeId, workerId, leaseHash } })
    else if (!options.isKnown(entry))
      apply({ kind: 'learned', worker: { spiffeId, leaseHash, registeredAt, body, replaced } })
  }

  const writer = createLeaseWriter({ table, bucket: () => link.session()?.registry, onFound: found })
  link.join(async (session) => {
    const view = await viewRegistry(session, { table, found, heard })
    first.resolve(undefined)
    return view
  })
  const beats = collectBeats((told) => {
    for (const text of encodeBeats(own, told)) link.session()?.nc.publish(BEATS, text)
  })

  /** Other controllers' messages about heartbeats. */
  function heard(text: string): void {
    const known: Beat[] = []
    for (const { key, lease, load } of decodeBeats(own, text)) {
      const entry = table.heard(key, false)
      if (entry?.leaseHash.startsWith(lease) !== true) continue
      // It was not there when this controller looked: it is, or the heartbeat would not have come.
      if (options.isKnown(entry)) known.push({ holder: entry, load })
      else learn(entry)
    }
    if (known.length > 0) options.beats(known)
  }

  const timer = setInterval(() => {
    table.renew()
    writer.wake()
    // Nobody hears from other controllers now: their workers are not silent.
    if (link.awayMs() !== undefined) options.beats(options.live())
  }, TICK_MS).unref()

  return {
    async changed(change) {
      const entry = entryOf(change, table, options.replacedBy)
      if (entry === undefined || !table.changed(entry)) return
      writer.wake()
      await within(SHARE_MS, writer.written(storeKeyOf(entry)))
    },
    beat({ holder, load }) {
      const key = storeKeyOf(holder)
      if (table.heard(key, true) !== undefined) beats.add({ key, lease: holder.leaseHash, load })
    },
    health: () => ({ awayMs: link.awayMs(), unwritten: table.dueCount() }),
    async viewed(ms) {
      await within(ms, first.promise, { ref: true })
    },
    close() {
      clearInterval(timer)
      beats.close()
    },
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
    case 'dismissed':
      return table.endOf(change.holder)
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
async function viewRegistry(
  session: StoreSession,
  { table, found, heard }: ViewOptions,
): Promise<{ readonly ended: Promise<string> }> {
  const { nc, registry, signal } = session
  const beats = nc.subscribe(BEATS, { callback: (_error, message) => heard(message.string()) })
  signal.addEventListener('abort', () => beats.unsubscribe())
  const { present, ended } = await viewBucket({ session, bucket: registry, onEntry: found })
  table.absent(present)
  return { ended }
}
