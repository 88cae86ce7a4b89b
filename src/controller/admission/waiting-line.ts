// On the path of a call that the controller cannot prepare yet. Who is next, and who has to go: `high` before `normal` before
// `low`; within a priority callers take turns, so that many calls of one caller do not delay another.
import { PRIORITIES, type Priority } from '../../core/decision.ts'
import { FairLine } from '../../platform/fair-line.ts'

type Waiter = {
  readonly caller: string
  readonly priority: Priority
  /** Monotonic ms at which it came. */
  readonly sinceMs: number
  /** How long it waits at most. */
  readonly timeoutMs: number
  readonly hasLeft: () => boolean
  readonly admit: () => void
  readonly refuse: () => void
}

export class WaitingLine {
  readonly #lines: Readonly<Record<Priority, FairLine<Waiter>>> = {
    low: new FairLine(),
    normal: new FairLine(),
    high: new FairLine(),
  }

  get size(): number {
    const { low, normal, high } = this.#lines
    return low.size + normal.size + high.size
  }

  /** How many are served before a new call of this priority, if callers did not take turns. */
  ahead(priority: Priority): number {
    const { low, normal, high } = this.#lines
    if (priority === 'high') return high.size
    return high.size + normal.size + (priority === 'low' ? low.size : 0)
  }

  /** Whether a caller has at least an equal share of those that wait with its priority. */
  hasItsShare(caller: string, priority: Priority): boolean {
    const line = this.#lines[priority]
    const own = line.countOf(caller)
    return own > 0 && own * line.owners >= line.size
  }

  add(waiter: Waiter): void {
    this.#lines[waiter.priority].add(waiter.caller, waiter)
  }

  /** Removes the next one. */
  next(): Waiter | undefined {
    const { low, normal, high } = this.#lines
    return high.next() ?? normal.next() ?? low.next()
  }

  /** Removes the newest of the caller that has the most, of the lowest priority up to `priority`. */
  dropNewest(priority: Priority): Waiter | undefined {
    const upTo = PRIORITIES.slice(0, PRIORITIES.indexOf(priority) + 1)
    return upTo
      .map((name) => this.#lines[name])
      .find(({ size }) => size > 0)
      ?.dropNewest()
  }

  /** Removes those to which it applies. */
  drop(applies: (waiter: Waiter) => boolean): Waiter[] {
    return PRIORITIES.flatMap((priority) => this.#lines[priority].drop(applies))
  }
}
