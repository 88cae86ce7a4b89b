// A wait with a time limit.
import { setTimeout as delay } from 'node:timers/promises'

/** What `work` resolves with; undefined if `ms` have passed. Rejects if `work` rejects first. The wait does not keep the process alive, unless `ref`. */
export async function within<T>(ms: number, work: Promise<T>, { ref = false } = {}): Promise<T | undefined> {
  const over = new AbortController()
  try {
    return await Promise.race([work, delay(ms, undefined, { signal: over.signal, ref }).catch(() => undefined)])
  } finally {
    over.abort()
  }
}
