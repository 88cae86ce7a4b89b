// How many new keys each identity has used in the last hour, at this controller: one caller must not fill the store of all.

const MINUTES = 60
const MINUTE_MS = 60_000
/** As the store of one controller allows: 69 a second. */
const MAX_AN_HOUR = 250_000

type Count = { readonly perMinute: Uint32Array; minute: number; sum: number }

export class CallerKeys {
  readonly #monotonic: () => number
  readonly #limit: number
  readonly #callers = new Map<string, Count>()

  constructor(monotonic: () => number, limit = MAX_AN_HOUR) {
    this.#monotonic = monotonic
    this.#limit = limit
  }

  /** Whether the identity may use another key. */
  has(caller: string): boolean {
    const count = this.#callers.get(caller)
    if (count === undefined) return true
    this.#forward(count)
    if (count.sum === 0) this.#callers.delete(caller)
    return count.sum < this.#limit
  }

  add(caller: string): void {
    const count = this.#callers.get(caller) ?? { perMinute: new Uint32Array(MINUTES), minute: this.#minute(), sum: 0 }
    this.#callers.set(caller, count)
    this.#forward(count)
    const at = count.minute % MINUTES
    count.perMinute[at] = (count.perMinute[at] ?? 0) + 1
    count.sum++
  }

  #minute(): number {
    return Math.floor(this.#monotonic() / MINUTE_MS)
  }

  #forward(count: Count): void {
    const now = this.#minute()
    for (let minute = Math.max(count.minute + 1, now - MINUTES + 1); minute <= now; minute++) {
      count.sum -= count.perMinute[minute % MINUTES] ?? 0
      count.perMinute[minute % MINUTES] = 0
    }
    count.minute = now
  }
}
