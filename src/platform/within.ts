// A wait that has an end.
import { setTimeout as delay } from 'node:timers/promises'

/** Resolves when `work` is done or `ms` have passed; rejects when `work` does so before. `work` goes on; it keeps the process, the wait does not. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  try {
    await Promise.race([work, delay(ms, undefined, { signal: over.signal, ref: false }).catch(() => undefined)])
  } finally {
    over.abort()
  }
}
