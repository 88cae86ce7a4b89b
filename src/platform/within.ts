// Waits that end early: by a time limit, or by a signal.
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

/** What `work` settles with; rejects with the signal's reason as soon as it is aborted. `work` itself goes on. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    work.catch(() => undefined) // Nobody waits for it any more.
    signal.throwIfAborted()
  }
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
