// Ends a connection whose peer is still sending, without losing the answer: a socket that is closed with unread bytes sends
// a reset, and the peer then drops an answer that it has not read yet (RFC 9112, 9.6).
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** How long, and for how many bytes, we read from a peer after its answer. `idleMs`: the longest time without a byte. */
type LingerLimits = { readonly idleMs: number; readonly totalMs: number; readonly bytes: number }

/** What an upload may still send after its answer is decided, so that the sender can read the answer. */
export const CALLER_LINGER: LingerLimits = { idleMs: 2000, totalMs: 10_000, bytes: 64 * 1024 * 1024 }
/** Strangers get little: a moment to read that they were refused. */
export const STRANGER_LINGER: LingerLimits = { idleMs: 500, totalMs: 1000, bytes: 64 * 1024 }

const CHECK_MS = 50
const closing = new WeakSet<Socket>()

/** Sends the end of the answer, discards further input, and closes when the peer has closed or a limit is reached. */
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
 * Makes the connection of a request end this way when its answer has been sent. For an answer that closes the connection
 * while the body is still arriving; if the whole body has arrived by then, the connection ends at once.
 */
export function lingerAfterAnswer(request: IncomingMessage, limits: LingerLimits): void {
  const { socket } = request
  // Node's HTTP server calls this when it has passed the last answer of a connection to the socket.
  socket.destroySoon = () => {
    Reflect.deleteProperty(socket, 'destroySoon')
    if (request.complete || socket.destroyed) {
      socket.destroySoon()
      return
    }
    lingeringClose(socket, limits)
    // An abandoned reader would keep the rest from flowing.
    request.removeAllListeners('readable').resume()
    request.once('end', () => socket.destroySoon())
  }
}

/** True once the last answer of a connection has been sent: input that arrives now is discarded. */
export function isLingering(socket: Socket): boolean {
  return closing.has(socket)
}
