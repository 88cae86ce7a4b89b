// Ends a connection whose peer is still sending, without losing the answer: a socket that is closed with unread bytes in it
// sends a reset, and the peer drops the answer that it had not read yet (RFC 9112, 9.6).
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** How long, and for how many bytes, a peer is listened to after its answer. `idleMs`: without a byte from it. */
type LingerLimits = { readonly idleMs: number; readonly totalMs: number; readonly bytes: number }

/** What an upload whose answer is already decided may still send, so that its sender gets to read the answer. */
export const CALLER_LINGER: LingerLimits = { idleMs: 2000, totalMs: 10_000, bytes: 64 * 1024 * 1024 }
/** Strangers cost little: a moment to read that they were refused. */
export const STRANGER_LINGER: LingerLimits = { idleMs: 500, totalMs: 1000, bytes: 64 * 1024 }

const CHECK_MS = 50
const closing = new WeakSet<Socket>()

/** Sends the end of the answer, drops what still comes, and closes when the peer has closed or a limit is reached. */
export function lingeringClose(socket: Socket, { idleMs, totalMs, bytes }: LingerLimits): void {
  closing.add(socket)
  socket.end()
  const first = socket.bytesRead
  let last = first
  let quietMs = 0
  let passedMs = 0
  const timer = setInterval(() => {
    passedMs += CHECK_MS
    quietMs = socket.bytesRead === last ? quietMs + CHECK_MS : 0
    last = socket.bytesRead
    if (quietMs >= idleMs || passedMs >= totalMs || last - first > bytes) socket.destroy()
  }, CHECK_MS)
  if (socket.destroyed) clearInterval(timer)
  else socket.once('close', () => clearInterval(timer))
}

/**
 * Makes the connection of a request end this way when its answer is out. For an answer that closes the connection while the
 * body is still arriving; where all of it has arrived by then, the connection ends at once.
 */
export function lingerAfterAnswer(request: IncomingMessage, limits: LingerLimits): void {
  const { socket } = request
  // Node's HTTP server calls this when the last answer of a connection has been handed over.
  socket.destroySoon = () => {
    Reflect.deleteProperty(socket, 'destroySoon')
    if (request.complete || socket.destroyed) {
      socket.destroySoon()
      return
    }
    lingeringClose(socket, limits)
    // A reader that was given up would keep the rest from flowing.
    request.removeAllListeners('readable').resume()
    request.once('end', () => socket.destroySoon())
  }
}

/** True once the last answer of a connection is out: what arrives now belongs to nobody. */
export function isLingering(socket: Socket): boolean {
  return closing.has(socket)
}
