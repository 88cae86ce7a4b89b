// The orderly end of a listener: accepts no new connections, lets calls in flight end, and cuts those that take too long.
import type { Server } from 'node:http'
import { within } from '../../platform/within.ts'

/** The part of a Fastify instance that is used here; `close` stops listening and resolves when no connection is left. */
type Drainable = {
  readonly close: () => PromiseLike<unknown>
  readonly server: Pick<Server, 'closeIdleConnections' | 'closeAllConnections'>
  /** Called when the time is over and the remaining connections are cut. */
  readonly onCut: () => void
}

const IDLE_CHECK_MS = 50
const CUT_MS = 1000

/** Resolves when all connections have ended: by themselves within `timeoutMs`, or cut. Never rejects. */
export async function drain({ server, close, onCut }: Drainable, timeoutMs: number): Promise<void> {
  const closed = Promise.resolve(close()).catch(() => undefined)
  // `close` ends only connections that are idle now; a kept-alive connection whose call ends later would stay open.
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS)
  await within(timeoutMs, closed)
  clearInterval(idle)
  onCut()
  server.closeAllConnections()
  // An unfinished handshake does not count as a connection of the server; it has its own limit.
  await within(CUT_MS, closed)
}
