// A peer may answer before it has read the whole request, and close. Its kernel then resets the connection: our next write
// fails while the answer lies in our receive buffer. A socket treated here reads that answer first, and fails then.
import type { TLSSocket } from 'node:tls'

type Done = (error?: Error | null) => void

/** For an answer that is there, or on its way over the same wire as the reset was. */
const WAIT_MS = 2000

/** Makes an open client socket outlast a failed write, and take a reset for the end of what came before it. */
export function keepEarlyAnswers(socket: TLSSocket): TLSSocket {
  const write = socket._write.bind(socket)
  const writev = socket._writev?.bind(socket)
  const destroy = socket.destroy.bind(socket)

  /** The failed write stays pending, so that no further one is tried; reading goes on. */
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
    // What was read before it is still in the stream's buffer: a destroyed stream would drop it.
    if (!isReadReset(error) || socket.destroyed || socket.readableEnded) return destroy(error)
    socket.push(null)
    return socket
  }
  return socket
}

function isReadReset(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.code === 'ECONNRESET' && error.syscall === 'read'
}
