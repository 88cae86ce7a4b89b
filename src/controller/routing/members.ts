// On the path of every call. How many of the providers of a capability this process calls (decision 0063): with thousands, a call
// would find its connection cold, and each would cost a handshake.
import { hash } from 'node:crypto'

/** Below it a choice of two finds no difference, and an ejected worker would be missed. */
const LEAST_MEMBERS = 16
/** One in so many has no call: else it is likely that both that are drawn have one. */
const IDLE_PART = 4
/** Longer than connections to workers stay open without a call. */
const SHRINK_AFTER_MS = 60_000

/**
 * The members are the first so many in the order of `rankOf`: whoever leaves is replaced by the next one, the others stay.
 * @example
 * const count = members.count(nowMs)
 * if (!isEnough(idle, count)) members.grow(nowMs)
 */
export class Members {
  #count = LEAST_MEMBERS
  #changedMs = 0

  /** Half of what it was, a minute after it grew: if that is too few, it grows again with the next call. */
  count(nowMs: number): number {
    if (this.#count > LEAST_MEMBERS && nowMs - this.#changedMs >= SHRINK_AFTER_MS) {
      this.#count /= 2
      this.#changedMs = nowMs
    }
    return this.#count
  }

  /** Too few members are idle: twice as many. A call in flight has a connection of its own in any case, so this costs little. */
  grow(nowMs: number): number {
    this.#count *= 2
    this.#changedMs = nowMs
    return this.#count
  }
}

/** Whether so many members are idle that a call needs no further one. */
export function isEnough(idle: number, count: number): boolean {
  return idle * IDLE_PART >= count
}

const RANK_DIGITS = 12

/** The place of a worker in the order of one process: another one in each, so that all of them together use all workers. */
export function rankOf(processId: string, workerKey: string): number {
  return Number.parseInt(hash('sha256', `${processId} ${workerKey}`).slice(0, RANK_DIGITS), 16)
}
