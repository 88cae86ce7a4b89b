// A wait with a time limit.
import { setTimeout as delay } from 'node:timers/promises'

/** Resolves when `work` is done or `ms` have passed; rejects if `work` rejects first. The wait does not keep the process alive. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  try {
    await Promise.race([work, delay(ms, undefined, { signal: over.signal, ref: false }).catch(() => undefined)])
  } finally {
    over.abort()
  }
}
