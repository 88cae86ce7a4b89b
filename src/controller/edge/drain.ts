// The orderly end of a listener: no new connection, calls in flight may end, and what lasts too long is cut.
import type { Server } from 'node:http'
import { within } from '../../platform/within.ts'

/** As much of a Fastify instance as is used here; `close` stops listening and resolves when no connection is left. */
type Drainable = {
  readonly close: () => PromiseLike<unknown>
  readonly server: Pick<Server, 'closeIdleConnections' | 'closeAllConnections'>
  /** The time is over: what is still open is cut now. */
  readonly onCut: () => void
}

const IDLE_CHECK_MS = 50
const CUT_MS = 1000

/** Resolves when all connections have ended: by themselves within `timeoutMs`, or cut. Never rejects. */
export async function drain({ server, close, onCut }: Drainable, timeoutMs: number): Promise<void> {
  const closed = Promise.resolve(close()).catch(() => undefined)
  // `close` ends what is idle at its beginning; a kept-alive connection whose call ends later would stay.
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS)
  await within(timeoutMs, closed)
  clearInterval(idle)
  onCut()
  server.closeAllConnections()
  // A handshake that is not done yet is no connection of the server's: it has its own limit.
  await within(CUT_MS, closed)
}
