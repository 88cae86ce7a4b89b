// Long work in slices: between two of them, other calls and messages of the thread get their turn.
import { setImmediate as otherWork } from 'node:timers/promises'

/** Gives way where the slice is over. Rejects with the signal's reason when that has aborted. */
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
