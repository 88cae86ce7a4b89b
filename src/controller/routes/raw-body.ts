// The body of the raw form: passed through unparsed and unbuffered, with an idle limit in place of a limit in all.
import type { IncomingMessage } from 'node:http'
import { AppError } from '../../core/errors.ts'

const BODY_IDLE_MS = 30_000

/**
 * The caller's body as an iterable that undici can send. An iterable and not the stream itself: undici destroys a stream
 * when an attempt fails, and with it the connection that the caller waits on. Only the caller is timed: while the worker
 * is slow to take a part, nothing is asked of the stream.
 * @throws {AppError} `request_timeout`, which ends the attempt, when the caller sends nothing for `idleMs`.
 */
export async function* rawBody(stream: IncomingMessage, idleMs = BODY_IDLE_MS): AsyncGenerator<Uint8Array> {
  const parts = stream.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Uint8Array>
  for (;;) {
    const part = await withinIdle(parts.next(), idleMs)
    if (part.done === true) return
    yield part.value
  }
}

async function withinIdle<T>(next: Promise<T>, idleMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new AppError('request_timeout', 'the body stopped arriving')), idleMs)
  try {
    return await Promise.race([next, late])
  } finally {
    clearTimeout(timer)
  }
}
