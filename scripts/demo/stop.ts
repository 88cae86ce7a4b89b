// Ctrl-C and other stop signals, and waits that end with them.
import { setTimeout as delay } from 'node:timers/promises'
import { DemoError } from './errors.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const POLL_MS = 50
const PARENT_POLL_MS = 500

/**
 * Aborts at the first signal, or when the parent process has ended. Further signals have no effect: under npm one
 * Ctrl-C arrives several times, and draining has its own deadlines.
 */
export function stopOnSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of SIGNALS) process.on(signal, () => controller.abort())
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) controller.abort()
  }, PARENT_POLL_MS).unref()
  return controller.signal
}

/** Resolves when `stop` is aborted; keeps the process alive until then. */
export async function untilStopped(stop: AbortSignal): Promise<void> {
  const aDay = 86_400_000
  while (!stop.aborted) await delay(aDay, undefined, { signal: stop }).catch(() => undefined)
}

/**
 * Asks again and again until there is an answer.
 * @param ask resolves to undefined while there is none yet
 * @param give what to say when `limitMs` is over
 * @throws {DemoError} then; AbortError when stopped
 */
export async function waitFor<T>(
  ask: () => Promise<T | undefined>,
  { stop, limitMs, give }: { stop: AbortSignal; limitMs: number; give: () => string },
): Promise<T> {
  const endMs = performance.now() + limitMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > endMs) throw new DemoError(give())
    await delay(POLL_MS, undefined, { signal: stop })
  }
}
