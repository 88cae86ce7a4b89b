// Finds a process that hangs: it is asked again and again, and one that has not answered for long is ended, so that another one
// takes its seat. Nothing else would: its connections would hang for as long as it does.

type WatchdogOptions = {
  /** Resolves when the process answers. */
  readonly ask: () => Promise<unknown>
  readonly onHang: () => void
  readonly everyMs?: number
  readonly misses?: number
}

const EVERY_MS = 5000
/** Half a minute without an answer. */
const MISSES = 6

/**
 * Calls `onHang` at most once. What counts is how often it looked in vain, not the time: after a pause of this process itself
 * the other one has its time again. @returns the function that ends the watch
 */
export function watchForHang({ ask, onHang, everyMs = EVERY_MS, misses = MISSES }: WatchdogOptions): () => void {
  let missed = 0
  let isAsked = false
  const timer = setInterval(() => {
    if (!isAsked) {
      missed = 0
      isAsked = true
      // A process that is gone does not answer either; whoever sees its end stops the watch.
      ask().then(
        () => void (isAsked = false),
        () => undefined,
      )
      return
    }
    missed += 1
    if (missed < misses) return
    clearInterval(timer)
    onHang()
  }, everyMs)
  return () => clearInterval(timer)
}
