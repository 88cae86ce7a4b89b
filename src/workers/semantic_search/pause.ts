// Splits long work into slices: between two of them, other calls and messages of the thread are processed.
import { setImmediate as otherWork } from 'node:timers/promises'

/** Yields when the slice is over. Rejects with the signal's reason when it has aborted. */
export type Pause = () => Promise<void>

const SLICE_MS = 8

/** `monotonic`: milliseconds. */
export function createPause(signal: AbortSignal, monotonic: () => number = () => performance.now()): Pause {
  let startedMs = monotonic()
  return async () => {
    signal.throwIfAborted()
    if (monotonic() - startedMs < SLICE_MS) return
    await otherWork()
    startedMs = monotonic()
    signal.throwIfAborted()
  }
}
