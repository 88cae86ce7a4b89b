// On the path of every call. Lets as many calls in at a time as the adaptive limit says. Others wait for a short time in the
// waiting line, or are refused with `overloaded`.
import type { Priority } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { AdaptiveLimit, FLOOR } from './adaptive-limit.ts'
import { WaitingLine } from './waiting-line.ts'

type Entrant = { readonly caller: string; readonly priority: Priority }

/** A call that is being prepared. */
export type Slot = {
  /** The call is prepared, or has failed; `isSample`: its time says something about the load. Further calls do nothing. */
  leave(isSample: boolean): void
}

export type LoadGateState = {
  readonly limit: number
  readonly inFlight: number
  readonly waiting: number
  readonly latency: { readonly lastMs: number; readonly baseMs: number }
}

type LoadGateOptions = {
  readonly monotonic: () => number
  readonly onRefused: (priority: Priority) => void
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

export class LoadGate {
  readonly #options: LoadGateOptions
  readonly #limit: AdaptiveLimit
  readonly #line = new WaitingLine()
  #inFlight = 0
  /** When the line was last empty; monotonic ms. */
  #emptyMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: LoadGateOptions) {
    this.#options = options
    this.#limit = new AdaptiveLimit(options)
  }

  /** @throws {AppError} `overloaded` (at once, or the promise rejects) when there is no room in time */
  enter(entrant: Entrant): Slot | Promise<Slot> {
    if (this.#inFlight < this.#limit.value && this.#line.size === 0) return this.#take()
    this.#limit.reached()
    const { caller, priority } = entrant
    if (this.#isLineFull(priority)) {
      if (this.#line.hasItsShare(caller, priority)) throw this.#refusal(priority)
      this.#line.dropNewest(priority)?.refuse()
    }
    return this.#wait(entrant)
  }

  /** Whether a call would be refused at once. */
  isFullFor({ caller, priority }: Entrant): boolean {
    return this.#line.size > 0 && this.#isLineFull(priority) && this.#line.hasItsShare(caller, priority)
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
    const startedMs = this.#options.monotonic()
    const among = this.#inFlight
    let isOver = false
    return {
      leave: (isSample) => {
        if (isOver) return
        isOver = true
        this.#inFlight -= 1
        if (isSample) this.#limit.sample(this.#options.monotonic() - startedMs, among)
        this.#admitNext()
      },
    }
  }

  #admitNext(): void {
    while (this.#line.size > 0 && this.#inFlight < this.#limit.value) this.#line.next()?.admit()
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

  #wait({ caller, priority }: Entrant): Promise<Slot> {
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS)
    if (this.#line.size === 0) this.#emptyMs = this.#options.monotonic()
    return new Promise((resolve, reject) => {
      this.#line.add({
        caller,
        priority,
        sinceMs: this.#options.monotonic(),
        admit: () => resolve(this.#take()),
        refuse: () => reject(this.#refusal(priority)),
      })
    })
  }

  #look(): void {
    const waitedTooLong = this.#line.dropBefore(this.#options.monotonic() - this.#maxWaitMs())
    for (const waiter of waitedTooLong) waiter.refuse()
    if (this.#line.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #refusal(priority: Priority): AppError {
    this.#options.onRefused(priority)
    return new AppError('overloaded', 'the controller prepares as many calls as it can; wait and try again')
  }
}
