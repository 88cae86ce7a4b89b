// Free ports, and waiting until something answers there.
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 50
/** A cold start on a busy machine; a process that dies is noticed at once. */
const LIMIT_MS = 60_000

/** A port of loopback that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** True when `url` answers with 200. */
export async function isAnswering(url: string): Promise<boolean> {
  const answer = await fetch(url).catch(() => undefined)
  await answer?.body?.cancel()
  return answer?.status === 200
}

/** Asks until `holds`. @throws {Error} naming `what` after a minute */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LIMIT_MS
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited a minute in vain until ${what}`)
    await delay(POLL_MS)
  }
}
