// On the path of every call. What waits to become durable: first in, first out, bounded in number and in time.
import { AppError } from '../../core/errors.ts'

/** One append that has not been answered. `age`: ticks of the queue's timer since it came at `sinceMs`; a patient one has none. */
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
  /** How long the oldest that is not durable has waited, taken ones included; 0 when there is none. */
  readonly oldestMs: () => number
  /**
   * Resolves when the record is durable. Rejects with `audit_unavailable` when the queue is full, or after the longest wait
   * unless it is patient.
   */
  push(members: string, patient?: boolean): Promise<void>
  /** Takes out the oldest, at most `count`; they are still answered by the timer when their time is over. */
  take(count: number): readonly Waiting[]
  /** What was taken is durable: the timer forgets it. */
  done(): void
  /** Rejects all that waits, taken ones included. @returns how many. */
  rejectAll(cause: unknown): number
  close(): void
}

const TICKS_PER_WAIT = 10

/**
 * `onExpired` is told how many records waited for `maxWaitMs`, `onDropped` of these and of those that found the queue full.
 * The wait is counted in ticks of one shared timer: a process that was stopped for a minute does not find all its records
 * too old.
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
      const error = unavailable('the audit log did not take the record in time')
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
