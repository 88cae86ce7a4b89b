// On the path of a call that the controller cannot prepare yet. Who is next, and who has to go: `high` before `normal` before
// `low`; within a priority callers take turns, so that many calls of one caller do not delay another; of one caller the
// oldest is next, and the newest goes first.
import { PRIORITIES, type Priority } from '../../core/decision.ts'

type Waiter = {
  readonly caller: string
  readonly priority: Priority
  /** Monotonic ms at which it has waited long enough. */
  readonly untilMs: number
  readonly hasLeft: () => boolean
  readonly admit: () => void
  readonly refuse: () => void
}

type Class = { readonly byCaller: Map<string, Waiter[]>; count: number }

export class WaitingLine {
  readonly #classes: Readonly<Record<Priority, Class>> = { low: newClass(), normal: newClass(), high: newClass() }

  get size(): number {
    const { low, normal, high } = this.#classes
    return low.count + normal.count + high.count
  }

  /** How many are served before a new call of this priority, if callers did not take turns. */
  ahead(priority: Priority): number {
    const { low, normal, high } = this.#classes
    if (priority === 'high') return high.count
    return high.count + normal.count + (priority === 'low' ? low.count : 0)
  }

  /** Whether a caller has at least an equal share of those that wait with its priority. */
  hasItsShare(caller: string, priority: Priority): boolean {
    const { byCaller, count } = this.#classes[priority]
    const own = byCaller.get(caller)?.length ?? 0
    return own > 0 && own * byCaller.size >= count
  }

  add(waiter: Waiter): void {
    const of = this.#classes[waiter.priority]
    const own = of.byCaller.get(waiter.caller)
    if (own === undefined) of.byCaller.set(waiter.caller, [waiter])
    else own.push(waiter)
    of.count += 1
  }

  /** Removes the next one. */
  next(): Waiter | undefined {
    const of = PRIORITIES.map((priority) => this.#classes[priority]).findLast(({ count }) => count > 0)
    const [entry] = of?.byCaller ?? []
    if (of === undefined || entry === undefined) return undefined
    const [caller, waiters] = entry
    const waiter = waiters.shift()
    of.count -= 1
    // To the end: the others' turn comes first.
    of.byCaller.delete(caller)
    if (waiters.length > 0) of.byCaller.set(caller, waiters)
    return waiter
  }

  /** Removes the newest of the caller that has the most, of the lowest priority up to `priority`. */
  dropNewest(priority: Priority): Waiter | undefined {
    const upTo = PRIORITIES.slice(0, PRIORITIES.indexOf(priority) + 1)
    const of = upTo.map((name) => this.#classes[name]).find(({ count }) => count > 0)
    if (of === undefined) return undefined
    let most: Waiter[] = []
    for (const waiters of of.byCaller.values()) if (waiters.length > most.length) most = waiters
    const dropped = most.pop()
    of.count -= 1
    if (dropped !== undefined && most.length === 0) of.byCaller.delete(dropped.caller)
    return dropped
  }

  /** Removes those to which it applies. */
  drop(applies: (waiter: Waiter) => boolean): Waiter[] {
    return PRIORITIES.flatMap((priority) => dropFrom(this.#classes[priority], applies))
  }
}

function newClass(): Class {
  return { byCaller: new Map(), count: 0 }
}

function dropFrom(of: Class, applies: (waiter: Waiter) => boolean): Waiter[] {
  const dropped: Waiter[] = []
  for (const [caller, waiters] of of.byCaller) {
    const rest: Waiter[] = []
    for (const waiter of waiters) (applies(waiter) ? dropped : rest).push(waiter)
    if (rest.length === 0) of.byCaller.delete(caller)
    else of.byCaller.set(caller, rest)
  }
  of.count -= dropped.length
  return dropped
}
