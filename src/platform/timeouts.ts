// On the path of every call. Timeouts that hardly ever fire: most calls start three and stop them a few ms later. A long one
// need not be exact, so all long ones share one interval of the system, and starting one is an entry in a set.

/** `refresh`: it begins again, even if it has fired. After `stop` it never fires. */
export type Timeout = { readonly refresh: () => void; readonly stop: () => void }

/** Calls `onTimeout` after `ms`. */
export type StartTimeout = (onTimeout: () => void, ms: number) => Timeout

/** Somebody may wait for a shorter one. */
const EXACT_BELOW_MS = 5000
const STEP_MS = 25

/** Exact, as the system's. */
export const exactTimeout: StartTimeout = (onTimeout, ms) => new ExactTimeout(onTimeout, ms)

/** From five seconds on, `start` fires up to 50 ms late. Nothing runs while no long one waits. */
export function createTimeouts(): { readonly start: StartTimeout; readonly close: () => void } {
  const shared = new SharedInterval()
  return {
    start: (onTimeout, ms) =>
      ms < EXACT_BELOW_MS ? new ExactTimeout(onTimeout, ms) : new SharedTimeout(onTimeout, ms, shared),
    close: () => shared.close(),
  }
}

class ExactTimeout implements Timeout {
  readonly #timer: NodeJS.Timeout
  #isStopped = false

  constructor(onTimeout: () => void, ms: number) {
    this.#timer = setTimeout(onTimeout, ms)
  }

  refresh(): void {
    if (!this.#isStopped) this.#timer.refresh()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }
}

class SharedTimeout implements Timeout {
  readonly onTimeout: () => void
  readonly #ms: number
  readonly #shared: SharedInterval
  #isStopped = false
  dueMs = 0

  constructor(onTimeout: () => void, ms: number, shared: SharedInterval) {
    this.onTimeout = onTimeout
    this.#ms = Math.ceil(ms / STEP_MS) * STEP_MS
    this.#shared = shared
    this.#wait()
  }

  refresh(): void {
    if (this.#isStopped) return
    this.#shared.remove(this, this.#ms)
    this.#wait()
  }

  stop(): void {
    this.#isStopped = true
    this.#shared.remove(this, this.#ms)
  }

  #wait(): void {
    this.dueMs = performance.now() + this.#ms
    this.#shared.add(this, this.#ms)
  }
}

/** Invariant: timeouts of one length are in the order in which they end, since each is added when it begins. */
class SharedInterval {
  readonly #byLength = new Map<number, Set<SharedTimeout>>()
  #interval: NodeJS.Timeout | undefined

  add(timeout: SharedTimeout, ms: number): void {
    const known = this.#byLength.get(ms)
    if (known === undefined) this.#byLength.set(ms, new Set([timeout]))
    else known.add(timeout)
    this.#interval ??= setInterval(() => this.#look(), STEP_MS)
  }

  remove(timeout: SharedTimeout, ms: number): void {
    this.#byLength.get(ms)?.delete(timeout)
  }

  close(): void {
    clearInterval(this.#interval)
    this.#interval = undefined
  }

  #look(): void {
    const now = performance.now()
    for (const waiting of this.#byLength.values()) fireDue(waiting, now)
    for (const [ms, { size }] of this.#byLength) if (size === 0) this.#byLength.delete(ms)
    if (this.#byLength.size === 0) this.close()
  }
}

function fireDue(waiting: Set<SharedTimeout>, now: number): void {
  for (const timeout of waiting) {
    if (timeout.dueMs > now) return
    waiting.delete(timeout)
    timeout.onTimeout()
  }
}
