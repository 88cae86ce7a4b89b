// How many keys and bytes of answers the store has, in all and of each caller, kept in memory beside the file.
import type { StoreCounts } from './key-store.ts'
import type { CallerTotals, KeyRow } from './statements.ts'

type Share = { keys: number; bytes: number }
type State = KeyRow['state']

const NOTHING: Readonly<Share> = { keys: 0, bytes: 0 }

export class Ledger {
  readonly #callers = new Map<string, Share>()
  readonly #states: Record<State, number> = { in_flight: 0, done: 0, unknown: 0 }
  #bytes = 0

  constructor(totals: readonly CallerTotals[]) {
    this.load(totals)
  }

  load(totals: readonly CallerTotals[]): void {
    this.#callers.clear()
    Object.assign(this.#states, { in_flight: 0, done: 0, unknown: 0 })
    this.#bytes = 0
    for (const { caller, state, keys, bytes } of totals) this.#add(caller, state, { keys, bytes })
  }

  of(caller: string): Readonly<Share> {
    return this.#callers.get(caller) ?? NOTHING
  }

  keys(): number {
    return this.#states.in_flight + this.#states.done + this.#states.unknown
  }

  counts(): StoreCounts {
    return { ...this.#states, bytes: this.#bytes }
  }

  added(caller: string, state: State): void {
    this.#add(caller, state, { keys: 1, bytes: 0 })
  }

  removed({ caller, state, answer_bytes }: KeyRow): void {
    this.#add(caller, state, { keys: -1, bytes: -answer_bytes })
  }

  moved(row: KeyRow, { state, bytes }: { state: State; bytes: number }): void {
    this.removed(row)
    this.#add(row.caller, state, { keys: 1, bytes })
  }

  #add(caller: string, state: State, { keys, bytes }: Share): void {
    const share = this.#callers.get(caller) ?? { keys: 0, bytes: 0 }
    share.keys += keys
    share.bytes += bytes
    if (share.keys === 0) this.#callers.delete(caller)
    else this.#callers.set(caller, share)
    this.#states[state] += keys
    this.#bytes += bytes
  }
}
