// Reads and drops the rest of a small body that a refusal leaves unread. Its caller comes again, and would otherwise need
// another connection, whose handshake costs more than reading the body.
import type { IncomingMessage } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'

const SMALL_BYTES = 64 * 1024
/** For a body that is on its way already. */
const WAIT_MS = 250

/** Resolves when the body is read, or at once or soon if it is not to be read. Never rejects. */
export async function readAway(request: IncomingMessage): Promise<void> {
  // A reader that has begun has its own way to end.
  if (isOver(request) || request.readableDidRead || !isSmall(request)) return
  request.resume()
  // Most bodies came with their headers.
  await nextTurn()
  if (isOver(request)) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, WAIT_MS)
    request.once('end', done).once('close', done)
    function done(): void {
      clearTimeout(timer)
      request.off('end', done).off('close', done)
      resolve()
    }
  })
}

function isOver({ complete, destroyed }: IncomingMessage): boolean {
  return complete || destroyed
}

/** A caller that waits for 100 has not sent its body, and without a length nobody knows how large it is. */
function isSmall({ headers }: IncomingMessage): boolean {
  const length = Number(headers['content-length'] ?? Number.NaN)
  return length <= SMALL_BYTES && headers.expect === undefined
}
