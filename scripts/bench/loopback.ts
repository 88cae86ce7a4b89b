// Waits for a local server to answer.
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 50
/** Long enough for a cold start on a busy machine; a process that dies is noticed at once. */
const LIMIT_MS = 60_000

/** True when `url` answers with 200. */
export async function isAnswering(url: string): Promise<boolean> {
  const answer = await fetch(url).catch(() => undefined)
  await answer?.body?.cancel()
  return answer?.status === 200
}

/** Polls until `holds` resolves to true. @throws {Error} naming `what` after a minute */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LIMIT_MS
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited a minute, but not yet true: ${what}`)
    await delay(POLL_MS)
  }
}
