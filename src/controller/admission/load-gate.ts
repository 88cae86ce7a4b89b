// On the path of every call. Lets as many calls in at a time as the adaptive limit says. Others wait for a short time in the
// waiting line, or are refused with `overloaded`.
import type { Priority } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { AdaptiveLimit, FLOOR } from './adaptive-limit.ts'
import { WaitingLine } from './waiting-line.ts'

type Entrant = { readonly caller: string; readonly priority: Priority }

/** `timeoutMs`: it waits no longer than that. `hasLeft`: nobody waits for its answer any more. */
type PatientEntrant = Entrant & { readonly timeoutMs: number; readonly hasLeft: () => boolean }

/** Gives a place back. `among`: how many calls were in flight when it was taken. */
type Leave = (sinceMs: number, among: number, isSample: boolean) => void

/** A call that is being prepared. A class: one object per call, without a closure. */
export class Slot {
  readonly #leave: Leave
  readonly #sinceMs: number
  readonly #among: number
  #isOver = false

  constructor(leave: Leave, sinceMs: number, among: number) {
    this.#leave = leave
    this.#sinceMs = sinceMs
    this.#among = among
  }

  /** The call is prepared, or has failed; `isSample`: its time says something about the load. Further calls do nothing. */
  leave(isSample: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#leave(this.#sinceMs, this.#among, isSample)
  }
}

export type LoadGateState = {
  readonly limit: number
  readonly inFlight: number
  readonly waiting: number
  readonly latency: { readonly lastMs: number; readonly baseMs: number }
}

type LoadGateOptions = {
  readonly monotonic: () => number
  /** `left`: the caller left while the call waited. */
  readonly onRefused: (why: 'load' | 'left', priority: Priority) => void
}

/**
 * A burst is not overload: while the line was empty within this time, it may be of any length, and a call may wait so long.
 * After that the line stands, and only a short wait is worth it (the controlled delay of "Fail at Scale", ACM Queue 13(8)).
 */
const BURST_MS = 5000
/** Longer than a moment of load, shorter than a person or a retry waits; on a slow machine, as long as a few calls take. */
const MAX_WAIT_MS = 500
const MAX_WAIT_CALLS = 8
const LOOK_MS = 25
const BUSY_MS = 1000

export class LoadGate {
  readonly #options: LoadGateOptions
  readonly #limit: AdaptiveLimit
  readonly #line = new WaitingLine()
  #inFlight = 0
  #lastTakenMs = -Infinity
  /** When the line was last empty; monotonic ms. */
  #emptyMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: LoadGateOptions) {
    this.#options = options
    this.#limit = new AdaptiveLimit(options)
  }

  /** A place, if there is one now. */
  enter(): Slot | undefined {
    return this.#inFlight < this.#limit.value && this.#line.size === 0 ? this.#take() : undefined
  }

  /** Resolves with a place. Only after `enter` gave none. @throws {AppError} `overloaded`: at once, or when it waited in vain */
  wait(entrant: PatientEntrant): Promise<Slot> {
    this.#limit.reached()
    const { caller, priority } = entrant
    if (this.#isLineFull(priority)) {
      if (this.#line.hasItsShare(caller, priority)) throw this.#refusal(priority)
      this.#line.dropNewest(priority)?.refuse()
    }
    return this.#queue(entrant)
  }

  /** Whether a call would be refused at once. */
  isFullFor({ caller, priority }: Entrant): boolean {
    return this.#line.size > 0 && this.#isLineFull(priority) && this.#line.hasItsShare(caller, priority)
  }

  /** Whether there are calls, now or a moment ago, that other work would delay. */
  isBusy(): boolean {
    return this.#inFlight > 0 || this.#options.monotonic() - this.#lastTakenMs < BUSY_MS
  }

  state(): LoadGateState {
    const { value: limit, latency } = this.#limit
    return { limit, inFlight: this.#inFlight, waiting: this.#line.size, latency }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #take(): Slot {
    this.#inFlight += 1
    this.#lastTakenMs = this.#options.monotonic()
    return new Slot(this.#leave, this.#lastTakenMs, this.#inFlight)
  }

  readonly #leave: Leave = (sinceMs, among, isSample) => {
    this.#inFlight -= 1
    if (isSample) this.#limit.sample(this.#options.monotonic() - sinceMs, among)
    while (this.#line.size > 0 && this.#inFlight < this.#limit.value) this.#admitNext()
  }

  #admitNext(): void {
    const waiter = this.#line.next()
    if (waiter?.hasLeft() === true) waiter.refuse()
    else waiter?.admit()
  }

  /** A line that stands holds what can be served within the longest wait: more would wait in vain. */
  #isLineFull(priority: Priority): boolean {
    if (!this.#isStanding()) return false
    return this.#line.ahead(priority) >= Math.max(FLOOR, (this.#limit.perSecond * this.#maxWaitMs()) / 1000)
  }

  #maxWaitMs(): number {
    const shortMs = Math.max(MAX_WAIT_MS, MAX_WAIT_CALLS * this.#limit.latency.baseMs)
    return this.#isStanding() ? shortMs : Math.max(BURST_MS, shortMs)
  }

  #isStanding(): boolean {
    return this.#line.size > 0 && this.#options.monotonic() - this.#emptyMs >= BURST_MS
  }

  #queue({ caller, priority, timeoutMs, hasLeft }: PatientEntrant): Promise<Slot> {
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS)
    if (this.#line.size === 0) this.#emptyMs = this.#options.monotonic()
    return new Promise((resolve, reject) => {
      this.#line.add({
        caller,
        priority,
        sinceMs: this.#options.monotonic(),
        timeoutMs,
        hasLeft,
        admit: () => resolve(this.#take()),
        refuse: () => reject(hasLeft() ? this.#farewell(priority) : this.#refusal(priority)),
      })
    })
  }

  #look(): void {
    const now = this.#options.monotonic()
    const maxWaitMs = this.#maxWaitMs()
    const dropped = this.#line.drop(
      ({ sinceMs, timeoutMs, hasLeft }) => now - sinceMs > Math.min(maxWaitMs, timeoutMs) || hasLeft(),
    )
    for (const waiter of dropped) waiter.refuse()
    if (this.#line.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #refusal(priority: Priority): AppError {
    this.#options.onRefused('load', priority)
    return new AppError('overloaded', 'the controller prepares as many calls as it can; wait and try again')
  }

  #farewell(priority: Priority): AppError {
    this.#options.onRefused('left', priority)
    return new AppError('overloaded', 'the caller left before the controller had room for the call')
  }
}
