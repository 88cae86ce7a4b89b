// What one controller knows of the entries in the shared store, and which ones it still has to write. Pure state: the same
// events in any order end in the same entries, because `supersedes` alone decides.
import type { Holder } from '../routing/registry.ts'
import { storeKeyOf, supersedes, type LeaseEntry } from './lease-entry.ts'

type Known = {
  entry: LeaseEntry
  /** The revision of the store's last word about this key; 0: it has none. */
  revision: number
  /** The entry must be written. */
  isDue: boolean
  /** The store has lost the key, and nobody has written it again. */
  isLost: boolean
  /** When this controller itself was last sent a heartbeat of it, monotonic ms. */
  heardMs: number
  /** When any controller was last known to be sent one, monotonic ms. */
  aliveMs: number
  /** When the store last got it, monotonic ms. */
  writtenMs: number
}

type LeaseTableOptions = {
  readonly monotonic: () => number
  /** A worker that has been silent for longer is not vouched for. */
  readonly staleMs: number
  /** The entry of a worker that sends heartbeats here is written again after this time, so that it does not expire. */
  readonly renewMs: number
}

/** An ended registration is remembered so long: a controller that was away may still write it. */
const GONE_KEPT_MS = 600_000

export class LeaseTable {
  readonly #options: LeaseTableOptions
  readonly #known = new Map<string, Known>()
  readonly #due = new Set<string>()

  constructor(options: LeaseTableOptions) {
    this.#options = options
  }

  /** A change of this controller. False: the store knows better, or the same. */
  changed(entry: LeaseEntry): boolean {
    const key = storeKeyOf(entry)
    const known = this.#known.get(key)
    if (known !== undefined && !supersedes(entry, known.entry)) return false
    this.#set(key, entry, { revision: known?.revision ?? 0, isDue: true })
    return true
  }

  /** The end of a registration that this table knows; undefined if it does not know it. */
  endOf(holder: Holder): LeaseEntry | undefined {
    const entry = this.wordOf(holder)
    return entry && { ...entry, body: undefined }
  }

  /** What is known of exactly this registration. */
  wordOf(holder: Holder): LeaseEntry | undefined {
    const entry = this.#known.get(storeKeyOf(holder))?.entry
    return entry?.leaseHash === holder.leaseHash ? entry : undefined
  }

  /** Whether the store has exactly this registration, and no end of it. */
  isStored(holder: Holder): boolean {
    const known = this.#known.get(storeKeyOf(holder))
    return (
      known?.entry.leaseHash === holder.leaseHash && known.entry.body !== undefined && !known.isLost && !known.isDue
    )
  }

  /** When the worker of this name registered last, ended or not. */
  registeredAt(worker: Pick<Holder, 'spiffeId' | 'workerId'>): string | undefined {
    return this.#known.get(storeKeyOf(worker))?.entry.registeredAt
  }

  /** What the store has under a key. True: it is news, and counts. */
  seen(key: string, entry: LeaseEntry, revision: number): boolean {
    const known = this.#known.get(key)
    if (known === undefined || supersedes(entry, known.entry)) {
      this.#set(key, entry, { revision, isDue: false })
      return true
    }
    known.revision = revision
    known.isLost = false
    // The store has an older word: this one is written again.
    if (supersedes(known.entry, entry)) this.#owe(key, known)
    else this.#settle(key, known)
    return false
  }

  /**
   * The store has lost a key: it has expired, or somebody has deleted it. Only the word of a controller ends a registration, so
   * who sends heartbeats here is written again.
   */
  lost(key: string, revision: number): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.revision = revision
    known.isLost = true
    // It is written anyway, an end too: others may not have heard of it.
    if (known.isDue) return
    if (known.entry.body === undefined) this.#forget(key)
    else if (this.#isHeard(known)) this.#owe(key, known)
  }

  /** A heartbeat under this lease, or the beginning of its hash, that this controller was sent, or has heard of. */
  heard(key: string, lease: string, isOwn: boolean): LeaseEntry | undefined {
    const known = this.#known.get(key)
    if (known?.entry.body === undefined || !known.entry.leaseHash.startsWith(lease)) return undefined
    known.aliveMs = this.#options.monotonic()
    if (isOwn) known.heardMs = known.aliveMs
    return known.entry
  }

  /**
   * Marks what must not expire, and forgets ends that are old. Returns the workers whose entry is lost and that no controller
   * hears: they are forgotten, too. Called by a timer. `isDeaf`: this controller could not hear from the others, so it says
   * nothing against their workers.
   */
  renew(isDeaf: boolean): LeaseEntry[] {
    const { monotonic, staleMs, renewMs } = this.#options
    const nowMs = monotonic()
    const gone: LeaseEntry[] = []
    for (const [key, known] of this.#known) {
      if (known.entry.body === undefined) {
        if (!known.isDue && nowMs - known.writtenMs > GONE_KEPT_MS) this.#forget(key)
      } else if (this.#isHeard(known)) {
        if (known.isLost || nowMs - known.writtenMs > renewMs) this.#owe(key, known)
      } else if (isDeaf) {
        known.aliveMs = nowMs
      } else if (known.isLost && !known.isDue && nowMs - known.aliveMs > staleMs) {
        this.#forget(key)
        gone.push(known.entry)
      }
    }
    return gone
  }

  /** After a new view of the whole store: what it does not have. Other controllers may still write it again. */
  absent(present: ReadonlySet<string>): void {
    for (const [key, known] of this.#known) {
      if (present.has(key)) continue
      known.revision = 0
      if (known.entry.body === undefined) continue
      known.isLost = true
      known.aliveMs = this.#options.monotonic()
      if (this.#isHeard(known)) this.#owe(key, known)
    }
  }

  /** The write of a key has failed: others come first. */
  postpone(key: string): void {
    if (this.#due.delete(key)) this.#due.add(key)
  }

  /** Some of the keys whose entries must be written. */
  due(atMost: number): string[] {
    return [...this.#due].slice(0, atMost)
  }

  dueCount(): number {
    return this.#due.size
  }

  /** What is to be written under a key; undefined: nothing any more. */
  toWrite(key: string): { readonly entry: LeaseEntry; readonly revision: number } | undefined {
    const known = this.#known.get(key)
    return known?.isDue === true ? known : undefined
  }

  /** The store has this entry now. */
  wrote(key: string, entry: LeaseEntry, revision: number): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.revision = revision
    known.isLost = false
    known.writtenMs = this.#options.monotonic()
    if (known.entry === entry) this.#settle(key, known)
  }

  /** Whether the newest word about a worker is in the store. */
  isWritten(key: string): boolean {
    return !this.#due.has(key)
  }

  /** Registrations that have not ended. */
  entries(): LeaseEntry[] {
    return [...this.#known.values()].map(({ entry }) => entry).filter(({ body }) => body !== undefined)
  }

  #set(key: string, entry: LeaseEntry, { revision, isDue }: { revision: number; isDue: boolean }): void {
    const nowMs = this.#options.monotonic()
    const times = { heardMs: -Infinity, aliveMs: nowMs, writtenMs: nowMs }
    const known: Known = { entry, revision, isDue: false, isLost: false, ...times }
    // Who registers here is heard here.
    if (isDue && entry.body !== undefined) known.heardMs = nowMs
    this.#known.set(key, known)
    this.#due.delete(key)
    if (isDue) this.#owe(key, known)
  }

  #isHeard({ heardMs }: Known): boolean {
    return this.#options.monotonic() - heardMs <= this.#options.staleMs
  }

  #owe(key: string, known: Known): void {
    known.isDue = true
    this.#due.add(key)
  }

  #settle(key: string, known: Known): void {
    known.isDue = false
    this.#due.delete(key)
  }

  #forget(key: string): void {
    this.#known.delete(key)
    this.#due.delete(key)
  }
}
