// On the path of every call with an SLO. Counters over several sliding windows at once: a ring of slots, and for each window
// a running sum, so that counting and reading take the same time however long the windows are. Nothing is allocated per call.

type SlidingCountersOptions = {
  /** Windows move by this step. */
  readonly slotMs: number
  /** Their lengths, in slots. The current slot, which is not over, is one of them. */
  readonly windows: readonly number[]
  /** How many counters there are. */
  readonly counters: number
}

/** Counts by index. Times are monotonic ms; an earlier time than the last counts as the last. */
export class SlidingCounters {
  readonly #slotMs: number
  readonly #windows: readonly number[]
  readonly #counters: number
  readonly #length: number
  readonly #slots: Uint32Array
  readonly #sums: Float64Array
  #slot: number

  constructor({ slotMs, windows, counters }: SlidingCountersOptions, nowMs: number) {
    this.#slotMs = slotMs
    this.#windows = windows
    this.#counters = counters
    this.#length = Math.max(...windows)
    this.#slots = new Uint32Array(this.#length * counters)
    this.#sums = new Float64Array(windows.length * counters)
    this.#slot = Math.floor(nowMs / slotMs)
  }

  add(counter: number, nowMs: number): void {
    this.#advance(nowMs)
    const at = (this.#slot % this.#length) * this.#counters + counter
    this.#slots[at] = (this.#slots[at] ?? 0) + 1
    for (let sum = counter; sum < this.#sums.length; sum += this.#counters) this.#sums[sum] = (this.#sums[sum] ?? 0) + 1
  }

  /** The count over the window with this index. */
  sum(window: number, counter: number, nowMs: number): number {
    this.#advance(nowMs)
    return this.#sums[window * this.#counters + counter] ?? 0
  }

  /** Forgets what one counter has counted. */
  clear(counter: number): void {
    for (let at = counter; at < this.#slots.length; at += this.#counters) this.#slots[at] = 0
    for (let sum = counter; sum < this.#sums.length; sum += this.#counters) this.#sums[sum] = 0
  }

  #advance(nowMs: number): void {
    const slot = Math.floor(nowMs / this.#slotMs)
    if (slot <= this.#slot) return
    if (slot - this.#slot >= this.#length) {
      this.#slots.fill(0)
      this.#sums.fill(0)
      this.#slot = slot
      return
    }
    while (this.#slot < slot) {
      this.#slot += 1
      for (let window = 0; window < this.#windows.length; window += 1) this.#leave(window)
      const at = (this.#slot % this.#length) * this.#counters
      this.#slots.fill(0, at, at + this.#counters)
    }
  }

  /** Takes the slot that has just left the window out of its sums; the longest window's is the one that is used again now. */
  #leave(window: number): void {
    const left = this.#slot - (this.#windows[window] ?? 0)
    if (left < 0) return
    const from = (left % this.#length) * this.#counters
    for (let counter = 0; counter < this.#counters; counter += 1) {
      const sum = window * this.#counters + counter
      this.#sums[sum] = (this.#sums[sum] ?? 0) - (this.#slots[from + counter] ?? 0)
    }
  }
}
