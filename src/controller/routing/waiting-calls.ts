// Calls that wait for a worker: by capability, in the order of priority and arrival, bounded by number and by bytes. Nothing
// here is reached by a call that finds a free worker.
import type { Capability } from '../../core/capability.ts'
import { PRIORITIES, type Priority } from '../../core/decision.ts'
import { Line, type Place } from './line.ts'

export type WaitingLimits = {
  readonly perCapability: number
  readonly inAll: number
  /** Of bodies that are held in memory. */
  readonly bytes: number
}

/** What the order and the bounds depend on. `bytes`: what its body holds in memory. */
type WaitingCall = { readonly capability: Capability; readonly priority: Priority; readonly bytes: number }

type Lines<T> = Readonly<Record<Priority, Line<T>>>
type Entry<T> = { readonly call: T; own: Place<Entry<T>> | undefined; all: Place<Entry<T>> | undefined }
type Room<T> = { readonly lines: Lines<Entry<T>>; count: number }

/** Highest first: the order in which calls get a worker. */
const BY_TURN = PRIORITIES.toReversed()

/**
 * @example
 * const turnedAway = waiting.admit(call) // calls of lower priority that make room, or undefined: there is none
 * for (const call of waiting.inTurn(capability)) …
 * waiting.remove(call)
 */
export class WaitingCalls<T extends WaitingCall> {
  readonly #limits: WaitingLimits
  readonly #rooms = new Map<Capability, Room<T>>()
  readonly #entries = new Map<T, Entry<T>>()
  readonly #all = linesOf<Entry<T>>()
  #bytes = 0

  constructor(limits: WaitingLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  count(capability: Capability): number {
    return this.#rooms.get(capability)?.count ?? 0
  }

  /** Capabilities that calls wait for, with their number. */
  *counts(): Generator<[Capability, number]> {
    for (const [capability, { count }] of this.#rooms) yield [capability, count]
  }

  /**
   * Adds a call. Where it is full, the newest calls of the lowest priority below that of the call make room: they are removed
   * and returned. Undefined, and nothing changes, if there are not enough of them.
   */
  admit(call: T): readonly T[] | undefined {
    const leaving = this.#roomFor(call)
    if (leaving === undefined) return undefined
    for (const other of leaving) this.remove(other)
    const room = this.#rooms.get(call.capability) ?? { lines: linesOf<Entry<T>>(), count: 0 }
    this.#rooms.set(call.capability, room)
    const entry: Entry<T> = { call, own: undefined, all: undefined }
    entry.own = room.lines[call.priority].join(entry)
    entry.all = this.#all[call.priority].join(entry)
    room.count += 1
    this.#bytes += call.bytes
    this.#entries.set(call, entry)
    return leaving
  }

  /** False if the call does not wait any more. */
  remove(call: T): boolean {
    const entry = this.#entries.get(call)
    const room = this.#rooms.get(call.capability)
    if (entry?.own === undefined || entry.all === undefined || room === undefined) return false
    room.lines[call.priority].leave(entry.own)
    this.#all[call.priority].leave(entry.all)
    room.count -= 1
    if (room.count === 0) this.#rooms.delete(call.capability)
    this.#bytes -= call.bytes
    this.#entries.delete(call)
    return true
  }

  /** The calls for a capability in the order of their turns; the one just given may be removed. */
  *inTurn(capability: Capability): Generator<T> {
    const room = this.#rooms.get(capability)
    if (room === undefined) return
    for (const priority of BY_TURN) {
      let place = room.lines[priority].first
      while (place !== undefined) {
        const { behind } = place
        yield place.item.call
        place = behind
      }
    }
  }

  /** The calls that have to leave for this one, or undefined. */
  #roomFor(call: T): T[] | undefined {
    const { perCapability, inAll, bytes } = this.#limits
    if (call.bytes > bytes) return undefined
    const own = this.#rooms.get(call.capability)
    const leaving = new Set<T>()
    if (own !== undefined && own.count >= perCapability) {
      const [newest] = newestBelow(own.lines, call.priority)
      if (newest === undefined) return undefined
      leaving.add(newest)
    }
    let freed = [...leaving].reduce((sum, other) => sum + other.bytes, 0)
    const isFull = (): boolean => this.size - leaving.size >= inAll || this.#bytes - freed + call.bytes > bytes
    if (!isFull()) return [...leaving]
    for (const other of newestBelow(this.#all, call.priority)) {
      if (leaving.has(other)) continue
      leaving.add(other)
      freed += other.bytes
      if (!isFull()) return [...leaving]
    }
    return undefined
  }
}

/** Calls of a lower priority: the lowest first, and of those the newest first. */
function* newestBelow<T>(lines: Lines<Entry<T>>, priority: Priority): Generator<T> {
  for (const lower of PRIORITIES) {
    if (lower === priority) return
    for (let place = lines[lower].last; place !== undefined; place = place.before) yield place.item.call
  }
}

function linesOf<T>(): Lines<T> {
  return { low: new Line(), normal: new Line(), high: new Line() }
}
