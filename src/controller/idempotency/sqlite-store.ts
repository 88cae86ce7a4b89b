// The store of idempotency keys on this machine: the owner of the store thread. While the store is away, calls with a key are
// refused and it is opened again every second; what ended meanwhile is written then.
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { AppError } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import { startThread, threadEntry, type Thread } from '../../platform/thread/thread.ts'
import type { Begun, Claim, Ending, KeyStore, StoreCounts, StoreHealth } from './key-store.ts'
import type { Held, StoreLimits, StoreReply, StoreRequest, StoreTask } from './store-words.ts'

type SqliteStoreOptions = {
  readonly file: string
  readonly now: () => number
  readonly monotonic: () => number
  readonly log: Pick<Logger, 'warn' | 'error'>
  /** Called with the seconds that a call waited for the disk. */
  readonly onWritten?: (seconds: number) => void
  readonly limits?: Partial<StoreLimits>
  readonly pace?: Partial<StorePace>
}

/** `answerMs`: after this time the disk counts as hanging, and the thread is ended. */
type StorePace = {
  readonly queued: number
  readonly answerMs: number
  readonly reopenMs: number
  readonly sweepMs: number
}

const MIB = 1024 * 1024
// For an hour: 69 keys a second of one identity, and 278 in all, with some 500 bytes of disk for each key.
const LIMITS: StoreLimits = {
  keysPerCaller: 250_000,
  keys: 1_000_000,
  bytesPerCaller: 64 * MIB,
  bytes: 512 * MIB,
  ttlMs: 3_600_000,
}
const PACE: StorePace = { queued: 1024, answerMs: 5000, reopenMs: 1000, sweepMs: 5000 }
const HEAP_MIB = 256
const ENTRY = threadEntry('store-main', import.meta.url)
const NO_COUNTS: StoreCounts = { in_flight: 0, done: 0, unknown: 0, bytes: 0 }

type Unstamped<R> = R extends unknown ? Omit<R, 'nowMs'> : never

/** A file that is there already is opened at once; the first key makes a new one. */
export function createSqliteStore(options: SqliteStoreOptions): KeyStore {
  const store = new SqliteStore(options)
  if (existsSync(options.file)) store.open()
  return store
}

class SqliteStore implements KeyStore {
  readonly #options: SqliteStoreOptions
  readonly #pace: StorePace
  readonly #task: StoreTask
  /** Claims that are not over, or whose end is not on the disk. */
  readonly #held = new Map<string, 'running' | 'unknown' | 'free'>()
  #thread: Thread<StoreRequest, StoreReply> | undefined
  #isOpen = false
  #fault: string | undefined
  #sinceMs = 0
  #refused = 0
  #queued = 0
  #counts = NO_COUNTS
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: SqliteStoreOptions) {
    this.#options = options
    this.#pace = { ...PACE, ...options.pace }
    this.#task = { file: options.file, owner: randomUUID(), limits: { ...LIMITS, ...options.limits } }
  }

  readonly begin = async (claim: Claim): Promise<Begun> => {
    const { monotonic, onWritten } = this.#options
    if (this.#closed || this.#fault !== undefined) throw this.#refusal('the store of idempotency keys cannot be used')
    if (this.#queued >= this.#pace.queued) throw this.#refusal('too many calls wait for the store of idempotency keys')
    if (!this.#isOpen) this.open()
    const start = monotonic()
    const reply = await this.#ask({ kind: 'begin', claim })
    onWritten?.((monotonic() - start) / 1000)
    if (reply.kind === 'full') throw this.#refusal('the store has as many idempotency keys as it may have')
    if (reply.kind !== 'begun') throw this.#refusal('the store of idempotency keys cannot be used')
    if (reply.begun.state === 'begun') this.#held.set(claim.decisionId, 'running')
    return reply.begun
  }

  readonly end = async (claim: Claim, ending: Ending): Promise<boolean> => {
    const { decisionId } = claim
    this.#held.set(decisionId, ending.to === 'free' ? 'free' : 'unknown')
    if (this.#closed || !this.#isOpen) return false
    const reply = await this.#ask({ kind: 'end', claim, ending })
    if (reply.kind !== 'ended') return false
    this.#held.delete(decisionId)
    return reply.ok
  }

  readonly health = (): StoreHealth => ({ ok: this.#fault === undefined, queued: this.#queued, counts: this.#counts })

  readonly close = async (): Promise<void> => {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#thread?.close()
  }

  /** Requests that follow wait for the result. */
  open(): void {
    if (this.#closed) return
    this.#isOpen = true
    void this.#look('open')
  }

  #start(): Thread<StoreRequest, StoreReply> {
    return startThread<StoreRequest, StoreReply>({
      entry: ENTRY,
      name: 'idempotency-store',
      data: this.#task,
      maxHeapMib: HEAP_MIB,
      onFailure: ({ message }) => this.#away({ reason: message, message }),
    })
  }

  /** Opens the store, or removes what has expired; both give the counts. */
  async #look(kind: 'open' | 'sweep'): Promise<void> {
    const held: Held = [...this.#held]
    const reply = await this.#ask({ kind, held })
    if (reply.kind !== 'counts') return
    this.#counts = reply.counts
    for (const [decisionId, state] of held) {
      // Written now. What ended since then is asked for by itself.
      if (state !== 'running') this.#held.delete(decisionId)
    }
    if (kind === 'open') this.#recover()
    this.#later('sweep', this.#pace.sweepMs)
  }

  async #ask(request: Unstamped<StoreRequest>): Promise<StoreReply> {
    const thread = (this.#thread ??= this.#start())
    const stamped = { ...request, nowMs: this.#options.now() }
    this.#queued += 1
    try {
      const reply = await thread.ask(stamped, { limits: { wallMs: this.#pace.answerMs } })
      if (reply.kind === 'away') this.#away(reply)
      return reply
    } catch (cause: unknown) {
      const reason = cause instanceof Error ? cause.message : 'the thread failed'
      this.#away({ reason, message: reason })
      return { kind: 'away', reason, message: reason }
    } finally {
      this.#queued -= 1
    }
  }

  #away({ reason, message }: { readonly reason: string; readonly message: string }): void {
    // The requests behind the one that failed fail too; only an attempt to open can tell more.
    if (this.#closed || (!this.#isOpen && this.#fault !== undefined)) return
    this.#isOpen = false
    if (this.#thread?.isAlive() === false) this.#thread = undefined
    if (this.#fault === undefined) this.#sinceMs = this.#options.now()
    if (this.#fault !== reason) {
      const text = 'the store of idempotency keys cannot be used'
      this.#options.log.error({ event: 'idempotency_unavailable', reason: message }, text)
    }
    this.#fault = reason
    this.#later('open', this.#pace.reopenMs)
  }

  #recover(): void {
    const { log, now } = this.#options
    if (this.#fault === undefined) return
    const fields = { reason: this.#fault, refused: this.#refused, outage_ms: now() - this.#sinceMs }
    log.warn({ event: 'idempotency_recovered', ...fields }, 'the store of idempotency keys can be used again')
    this.#fault = undefined
    this.#refused = 0
  }

  #later(what: 'open' | 'sweep', afterMs: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    const run = (): void => (what === 'open' ? this.open() : void this.#look('sweep'))
    this.#timer = setTimeout(run, afterMs).unref()
  }

  #refusal(message: string): AppError {
    this.#refused += 1
    return new AppError('idempotency_unavailable', message)
  }
}
