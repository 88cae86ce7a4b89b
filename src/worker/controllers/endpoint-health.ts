// Whether calls go to a controller. One that failed is avoided for a while; then it is looked at before a call goes there again.

/** A change that a person should know. `reason` names what failed. */
export type ControllerChange =
  | { readonly change: 'avoided'; readonly controller: string; readonly reason: string }
  | { readonly change: 'used_again'; readonly controller: string }

type EndpointHealthDeps = {
  readonly name: string
  readonly monotonic: () => number
  /** Returns a number from 0 to below 1. */
  readonly random: () => number
  readonly report: (change: ControllerChange) => void
}

const FIRST_PAUSE_MS = 250
/** A controller that is back is found within this time and one look. */
const MAX_PAUSE_MS = 4000
const MAX_REPORTED = 8

/** Invariant: `#failures` counts pauses since the last answer to a call, so that a look alone does not shorten the next pause. */
export class EndpointHealth {
  readonly #deps: EndpointHealthDeps
  /** Each reason is reported once until it answers a call: calls and looks may fail in turn, in different ways. */
  readonly #reported = new Set<string>()
  #failures = 0
  #pausedUntilMs: number | undefined

  constructor(deps: EndpointHealthDeps) {
    this.#deps = deps
  }

  isGood(): boolean {
    return this.#pausedUntilMs === undefined
  }

  /** Whether its pause is over: look at it. */
  isDue(): boolean {
    return this.#pausedUntilMs !== undefined && this.#pausedUntilMs <= this.#deps.monotonic()
  }

  /** Returns whether it was good until now. Failures during a pause do not make the pause longer. */
  failed(reason: string): boolean {
    const { name, monotonic, random, report } = this.#deps
    if (!this.#reported.has(reason) && this.#reported.size < MAX_REPORTED) {
      this.#reported.add(reason)
      report({ change: 'avoided', controller: name, reason })
    }
    const wasGood = this.isGood()
    if (!wasGood && !this.isDue()) return false
    const fullMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, MAX_PAUSE_MS)
    this.#failures += 1
    this.#pausedUntilMs = monotonic() + fullMs * (0.5 + 0.5 * random())
    return wasGood
  }

  /** It answers again, as a look has shown. */
  looksGood(): void {
    this.#pausedUntilMs = undefined
  }

  /** It answered a call. */
  answered(): void {
    this.#pausedUntilMs = undefined
    this.#failures = 0
    if (this.#reported.size === 0) return
    this.#reported.clear()
    this.#deps.report({ change: 'used_again', controller: this.#deps.name })
  }
}
