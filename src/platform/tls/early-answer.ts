// A peer may answer before it has read the whole request, and then close. Its kernel resets the connection: our next write
// fails while the answer is in our receive buffer. A socket prepared here reads that answer first and fails afterwards.
import type { TLSSocket } from 'node:tls'

type Done = (error?: Error | null) => void

/** Long enough for an answer that has arrived, or that is in flight on the same connection as the reset. */
const WAIT_MS = 2000

/** Makes an open client socket survive a failed write, and treat a reset as the end of the data before it. */
export function keepEarlyAnswers(socket: TLSSocket): TLSSocket {
  const write = socket._write.bind(socket)
  const writev = socket._writev?.bind(socket)
  const destroy = socket.destroy.bind(socket)

  /** The failed write stays pending, so that no further write is tried; reading continues. */
  const outlast =
    (done: Done): Done =>
    (error) => {
      if (error === null || error === undefined || socket.destroyed) {
        done(error)
        return
      }
      const timer = setTimeout(done, WAIT_MS, error)
      socket.once('close', () => clearTimeout(timer))
    }
  socket._write = (chunk, encoding, done) => write(chunk, encoding, outlast(done))
  if (writev !== undefined) socket._writev = (chunks, done) => writev(chunks, outlast(done))
  socket.destroy = (error) => {
    // Data read before the reset is still in the stream's buffer: a destroyed stream would drop it.
    if (!isReadReset(error) || socket.destroyed || socket.readableEnded) return destroy(error)
    socket.push(null)
    return socket
  }
  return socket
}

function isReadReset(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.code === 'ECONNRESET' && error.syscall === 'read'
}
