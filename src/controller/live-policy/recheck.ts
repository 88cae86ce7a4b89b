// Schedules the self-check: at the start, with a bounded backoff while it fails, soon after an error, and, for an engine in
// another process, every few seconds while it passes.

type Recheck = {
  /** After an error: checks at once, but at most every 250 ms however many errors there are. */
  soon(): void
  stop(): void
}

const RETRY_FIRST_MS = 250
/** Calls are served again within a second after the engine is back, however long it was away. */
const RETRY_MAX_MS = 750

/** Starts at once. `everyMs` undefined: no checks while nothing changes. `check` resolves to true if there is no fault, and never rejects; two checks never run at the same time. */
export function createRecheck(check: () => Promise<boolean>, everyMs: number | undefined): Recheck {
  let timer: NodeJS.Timeout | undefined
  let dueMs = Infinity
  let lastMs = -Infinity
  let backoffMs = RETRY_FIRST_MS
  let stopped = false

  const plan = (delayMs: number): void => {
    const due = performance.now() + delayMs
    if (stopped || due >= dueMs) return
    clearTimeout(timer)
    dueMs = due
    timer = setTimeout(() => void run(), delayMs).unref()
  }
  const run = async (): Promise<void> => {
    // Earlier than any other due time, so that nothing is scheduled while the check runs.
    dueMs = -Infinity
    const passed = await check()
    lastMs = performance.now()
    dueMs = Infinity
    if (!passed) plan(backoffMs)
    else if (everyMs !== undefined) plan(everyMs)
    backoffMs = passed ? RETRY_FIRST_MS : Math.min(backoffMs * 2, RETRY_MAX_MS)
  }
  void run()

  return {
    soon: () => plan(Math.max(0, lastMs + RETRY_FIRST_MS - performance.now())),
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
