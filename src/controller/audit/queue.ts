// On the path of every call. The queue of records that wait to
// become durable: first in, first out, bounded in number and time.
import { AppError } from '../../core/errors.ts'

/** An unanswered append. `age`: ticks of the queue's timer since it arrived at `sinceMs`; ignored for a patient append. */
export type Waiting = {
  readonly members: string
  readonly sinceMs: number
  readonly resolve: () => void
  readonly reject: (error: AppError) => void
  age: number
  readonly patient: boolean
}

export type WaitingQueue = {
  readonly length: () => number
  /** How long the oldest record that is not durable has waited, including taken ones; 0 when there is none. */
  readonly oldestMs: () => number
  /**
   * Resolves when the record is durable. Rejects with `audit_unavailable` when the queue is full, or after the longest wait
   * unless it is patient.
   */
  push(members: string, patient?: boolean): Promise<void>
  /** Takes the oldest records, at most `count`; the timer still rejects them when they have waited too long. */
  take(count: number): readonly Waiting[]
  /** The taken records are durable: the timer forgets them. */
  done(): void
  /** Rejects all waiting records, including taken ones. @returns how many. */
  rejectAll(cause: unknown): number
  close(): void
}

const TICKS_PER_WAIT = 10

/**
 * `onExpired` gets the number of records that waited for `maxWaitMs`; `onDropped` gets these too, and records that found the
 * queue full. The wait is counted in ticks of one shared timer: after a stop of the process for a minute, its records are
 * not all expired.
 */
export function createWaitingQueue(opts: {
  maxQueued: number
  maxWaitMs: number
  now: () => number
  onExpired: (count: number) => void
  onDropped: (count: number) => void
}): WaitingQueue {
  let waiting: Waiting[] = []
  let taken: readonly Waiting[] = []
  let timer: NodeJS.Timeout | undefined

  function tick(): void {
    for (const record of taken) record.age++
    for (const record of waiting) record.age++
    const old = (record: Waiting): boolean => !record.patient && record.age >= TICKS_PER_WAIT
    const expired = [...taken.filter(old), ...waiting.filter(old)]
    waiting = waiting.filter((record) => !old(record))
    taken = taken.filter((record) => !old(record))
    if (expired.length > 0) {
      const error = unavailable('the audit record was not written in time')
      for (const record of expired) record.reject(error)
      opts.onExpired(expired.length)
      opts.onDropped(expired.length)
    }
    if (waiting.length + taken.length === 0) stop()
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
  }

  function push(members: string, patient = false): Promise<void> {
    if (waiting.length >= opts.maxQueued) {
      opts.onDropped(1)
      return Promise.reject(unavailable('the queue of the audit log is full'))
    }
    const sinceMs = opts.now()
    timer ??= setInterval(tick, opts.maxWaitMs / TICKS_PER_WAIT).unref()
    return new Promise((resolve, reject) => waiting.push({ members, sinceMs, resolve, reject, age: 0, patient }))
  }
  return {
    length: () => waiting.length,
    oldestMs() {
      const oldest = taken[0] ?? waiting[0]
      // The wall clock may be set back.
      return oldest === undefined ? 0 : Math.max(0, opts.now() - oldest.sinceMs)
    },
    push,
    take: (count) => (taken = waiting.splice(0, count)),
    done: () => void (taken = []),
    rejectAll(cause) {
      const all = [...taken, ...waiting]
      taken = waiting = []
      const error = unavailable(undefined, cause)
      for (const record of all) record.reject(error)
      return all.length
    },
    close: stop,
  }
}

function unavailable(message?: string, cause?: unknown): AppError {
  return new AppError('audit_unavailable', message, cause === undefined ? undefined : { cause })
}
