// On the path of every call. How many calls the controller prepares at a time: from their admission until their verdict is
// durable. The time of workers is no part of it, so a slow worker never lowers the limit.
//
// The control law (ADR 0053). `base` is the latency of that part without queueing, `short` its mean over the last window.
// In a window in which the limit was reached:
//
//   gradient = clamp(TOLERANCE * base / short, 1/2, 1)
//   limit   <- limit + (limit * gradient + sqrt(limit) - limit) * step        step: 1 upwards, 0.3 downwards
//
// Up to twice the base the limit grows, by its square root; above, it shrinks in proportion. Everything the loop has to do
// between two steps of a call is in `short`, the delay of the event loop and the wait for the disk included. All of it is
// relative to this machine, so no figure has to be guessed.
//
// `base` follows a lower mean at once, and a higher one slowly while the limit is not reached. Under lasting overload there
// is no such window: every ten seconds only two calls at a time are then prepared, for the time of a few calls, and their
// mean is the base. Otherwise the queue that the limit permits would become the next base, and the limit would grow forever.

type AdaptiveLimitOptions = { readonly monotonic: () => number }

export const FLOOR = 8
const PROBE = 2
const START = 32
const TOLERANCE = 2
const STEP_DOWN = 0.3
/** A mean of fewer calls is chance; a shorter window sees only one turn of the event loop. */
const WINDOW = { calls: 16, ms: 50 }
const PROBE_EVERY_MS = 10_000
/** A probe without enough calls that were decided ends without a result: it must not hold the others back for long. */
const PROBE_MS = 1000
/** How slowly the base follows a higher mean. */
const BASE_RISE = 0.05

export class AdaptiveLimit {
  readonly #monotonic: () => number
  #limit = START
  #baseMs: number | undefined
  #lastMs = 0
  #perSecond = 0
  #windowStartMs: number
  #sumMs = 0
  #count = 0
  #isReached = false
  #isProbing = false
  #probedMs: number

  constructor({ monotonic }: AdaptiveLimitOptions) {
    this.#monotonic = monotonic
    this.#windowStartMs = monotonic()
    this.#probedMs = this.#windowStartMs
  }

  /** Calls that may be prepared at a time. */
  get value(): number {
    return this.#isProbing ? PROBE : Math.floor(this.#limit)
  }

  /** Calls per second in the last window in which the limit was reached; 0: there was none. */
  get perSecond(): number {
    return this.#perSecond
  }

  /** Mean of the last window, and what it is compared with; milliseconds. */
  get latency(): { readonly lastMs: number; readonly baseMs: number } {
    return { lastMs: this.#lastMs, baseMs: this.#baseMs ?? 0 }
  }

  /** A call had to wait, or would have. */
  reached(): void {
    this.#isReached = true
    if (this.#isProbing && this.#monotonic() - this.#windowStartMs > PROBE_MS) this.#startWindow(this.#endProbe())
  }

  /** A call was prepared in `ms`, and was one of `inFlight` when it began. */
  sample(ms: number, inFlight: number): void {
    // Calls from before the probe queued with more than those.
    if (this.#isProbing && inFlight > PROBE) return
    this.#sumMs += ms
    this.#count += 1
    if (this.#count < WINDOW.calls) return
    const now = this.#monotonic()
    const elapsedMs = now - this.#windowStartMs
    if (!this.#isProbing && elapsedMs < WINDOW.ms) return
    this.#endWindow(now, elapsedMs)
  }

  #endWindow(now: number, elapsedMs: number): void {
    const short = this.#sumMs / this.#count
    this.#lastMs = short
    if (this.#isProbing) {
      this.#baseMs = short
      this.#endProbe()
    } else this.#judge(now, short, (this.#count * 1000) / Math.max(elapsedMs, 1))
    this.#startWindow(now)
  }

  #startWindow(now: number): void {
    this.#windowStartMs = now
    this.#sumMs = 0
    this.#count = 0
    this.#isReached = false
  }

  #judge(now: number, short: number, perSecond: number): void {
    const base = (this.#baseMs = Math.min(this.#baseMs ?? short, short))
    if (!this.#isReached) {
      this.#baseMs = base + (short - base) * BASE_RISE
      this.#probedMs = now
      return
    }
    this.#perSecond = perSecond
    const gradient = Math.min(1, Math.max(0.5, (TOLERANCE * base) / Math.max(short, Number.EPSILON)))
    const step = this.#limit * gradient + Math.sqrt(this.#limit) - this.#limit
    this.#limit = Math.max(FLOOR, this.#limit + (step > 0 ? step : step * STEP_DOWN))
    this.#isProbing = now - this.#probedMs >= PROBE_EVERY_MS
  }

  #endProbe(): number {
    this.#isProbing = false
    return (this.#probedMs = this.#monotonic())
  }
}
