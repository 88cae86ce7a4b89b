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

export type WaitingQueue = {
  readonly length: () => number
  /** How many of them ask for a write now. */
  readonly due: () => number
  /** How long the oldest record that is not durable has waited, including taken ones; 0 when there is none. */
  readonly oldestMs: () => number
  /** An entry is lost with `audit_unavailable` when the queue is full, or after the longest wait unless it is patient. */
  push(entry: Entry): void
  /** Takes the oldest records, at most `count`; the timer still gives them up when they have waited too long. */
  take(count: number): readonly Entry[]
  /** The taken records are durable: the timer forgets them. */
  done(): void
  /** Gives up all waiting records, including taken ones. @returns how many. */
  loseAll(cause: unknown): number
  close(): void
}

const TICKS_PER_WAIT = 10

/**
 * `onExpired` gets the number of records that waited for `maxWaitMs`; `onDropped` gets these too, and records that found the
 * queue full; `onLost` gets the number of all that were lost. The wait is counted in ticks of one shared timer: after a stop
 * of the process for a minute, its records are not all expired.
 */
export function createWaitingQueue(opts: {
  maxQueued: number
  maxWaitMs: number
  now: () => number
  onExpired: (count: number) => void
  onDropped: (count: number) => void
  onLost: (count: number) => void
}): WaitingQueue {
  let waiting: Waiter[] = []
  let taken: readonly Waiter[] = []
  let riders = 0
  let timer: NodeJS.Timeout | undefined

  function tick(): void {
    for (const waiter of taken) waiter.age++
    for (const waiter of waiting) waiter.age++
    const old = ({ entry, age }: Waiter): boolean => !entry.patient && age >= TICKS_PER_WAIT
    const expired = [...taken.filter(old), ...waiting.filter(old)]
    waiting = waiting.filter((waiter) => !old(waiter))
    taken = taken.filter((waiter) => !old(waiter))
    riders = ridersIn(waiting)
    if (expired.length > 0) {
      lose(expired, unavailable('the audit record was not written in time'))
      opts.onExpired(expired.length)
      opts.onDropped(expired.length)
    }
    if (waiting.length + taken.length === 0) stop()
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
  }

  function lose(lost: readonly Waiter[], error: AppError): void {
    for (const { entry } of lost) entry.onLost(error)
    opts.onLost(lost.length)
  }

  function push(entry: Entry): void {
    if (waiting.length >= opts.maxQueued) {
      opts.onDropped(1)
      opts.onLost(1)
      entry.onLost(unavailable('the queue of the audit log is full'))
      return
    }
    timer ??= setInterval(tick, opts.maxWaitMs / TICKS_PER_WAIT).unref()
    if (entry.rides) riders += 1
    waiting.push({ entry, sinceMs: opts.now(), age: 0 })
  }
  return {
    length: () => waiting.length,
    due: () => waiting.length - riders,
    oldestMs() {
      const oldest = taken[0] ?? waiting[0]
      // The wall clock may be set back.
      return oldest === undefined ? 0 : Math.max(0, opts.now() - oldest.sinceMs)
    },
    push,
    take(count) {
      taken = waiting.splice(0, count)
      riders -= ridersIn(taken)
      return taken.map(({ entry }) => entry)
    },
    done: () => void (taken = []),
    loseAll(cause) {
      const all = [...taken, ...waiting]
      taken = waiting = []
      riders = 0
      lose(all, unavailable(undefined, cause))
      return all.length
    },
    close: stop,
  }
}

function ridersIn(waiters: readonly Waiter[]): number {
  return waiters.reduce((count, { entry }) => (entry.rides ? count + 1 : count), 0)
}

function unavailable(message?: string, cause?: unknown): AppError {
  return new AppError('audit_unavailable', message, cause === undefined ? undefined : { cause })
}
