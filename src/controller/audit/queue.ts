// On the path of every call. The queue of records that wait to
// become durable: first in, first out, bounded in number and time.
import { AppError } from '../../core/errors.ts'

/** How a record waits. */
export type Waiting = {
  /** It waits for a slow disk as long as necessary. */
  readonly patient: boolean
  /** It waits for the write of a later record, or for a while. */
  readonly rides: boolean
}

/** A record to write, and who is told about it. */
export type Entry = Waiting & {
  readonly members: string
  readonly onDurable: () => void
  readonly onLost: (error: AppError) => void
}

/** `age`: ticks of the queue's timer since it arrived at `sinceMs`; ignored for a patient record. */
type Waiter = { readonly entry: Entry; readonly sinceMs: number; age: number }

/**
 * `onExpired` gets the number of records that waited for `maxWaitMs`; `onDropped` gets these too, and records that found the
 * queue full; `onLost` gets the number of all that were lost.
 */
type WaitingQueueOptions = {
  readonly maxQueued: number
  readonly maxWaitMs: number
  readonly now: () => number
  readonly onExpired: (count: number) => void
  readonly onDropped: (count: number) => void
  readonly onLost: (count: number) => void
}

/** A tenth of the longest wait. The wait is counted in ticks: after a stop of the process, its records are not all expired. */
const TICKS_PER_WAIT = 10

/** Invariant: `#riders` of the records in `#waiting` ride; `#taken` are those of the write that is under way. */
export class WaitingQueue {
  readonly #opts: WaitingQueueOptions
  #waiting: Waiter[] = []
  #taken: readonly Waiter[] = []
  #riders = 0
  #timer: NodeJS.Timeout | undefined

  constructor(opts: WaitingQueueOptions) {
    this.#opts = opts
  }

  get length(): number {
    return this.#waiting.length
  }

  /** How many of them ask for a write now. */
  get due(): number {
    return this.#waiting.length - this.#riders
  }

  /** How long the oldest record that is not durable has waited, including taken ones; 0 when there is none. */
  oldestMs(): number {
    const oldest = this.#taken[0] ?? this.#waiting[0]
    // The wall clock may be set back.
    return oldest === undefined ? 0 : Math.max(0, this.#opts.now() - oldest.sinceMs)
  }

  /** An entry is lost with `audit_unavailable` when the queue is full, or after the longest wait unless it is patient. */
  push(entry: Entry): void {
    const { maxQueued, maxWaitMs, now, onDropped, onLost } = this.#opts
    if (this.#waiting.length >= maxQueued) {
      onDropped(1)
      onLost(1)
      entry.onLost(unavailable('the queue of the audit log is full'))
      return
    }
    this.#timer ??= setInterval(() => this.#tick(), maxWaitMs / TICKS_PER_WAIT).unref()
    if (entry.rides) this.#riders += 1
    this.#waiting.push({ entry, sinceMs: now(), age: 0 })
  }

  /** Takes the oldest records, at most `count`; the timer still gives them up when they have waited too long. */
  take(count: number): readonly Entry[] {
    this.#taken = this.#waiting.splice(0, count)
    this.#riders -= ridersIn(this.#taken)
    return this.#taken.map(({ entry }) => entry)
  }

  /** The taken records are durable: the timer forgets them. */
  done(): void {
    this.#taken = []
  }

  /** Gives up all waiting records, including taken ones. @returns how many. */
  loseAll(cause: unknown): number {
    const all = [...this.#taken, ...this.#waiting]
    this.#taken = this.#waiting = []
    this.#riders = 0
    this.#lose(all, unavailable(undefined, cause))
    return all.length
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #tick(): void {
    for (const waiter of this.#taken) waiter.age++
    for (const waiter of this.#waiting) waiter.age++
    const expired = [...this.#taken.filter(isOld), ...this.#waiting.filter(isOld)]
    if (expired.length > 0) this.#expire(expired)
    if (this.#waiting.length + this.#taken.length === 0) this.close()
  }

  #expire(expired: readonly Waiter[]): void {
    this.#waiting = this.#waiting.filter((waiter) => !isOld(waiter))
    this.#taken = this.#taken.filter((waiter) => !isOld(waiter))
    this.#riders = ridersIn(this.#waiting)
    this.#lose(expired, unavailable('the audit record was not written in time'))
    this.#opts.onExpired(expired.length)
    this.#opts.onDropped(expired.length)
  }

  #lose(lost: readonly Waiter[], error: AppError): void {
    for (const { entry } of lost) entry.onLost(error)
    this.#opts.onLost(lost.length)
  }
}

function isOld({ entry, age }: Waiter): boolean {
  return !entry.patient && age >= TICKS_PER_WAIT
}

function ridersIn(waiters: readonly Waiter[]): number {
  return waiters.reduce((count, { entry }) => (entry.rides ? count + 1 : count), 0)
}

function unavailable(message?: string, cause?: unknown): AppError {
  return new AppError('audit_unavailable', message, cause === undefined ? undefined : { cause })
}
