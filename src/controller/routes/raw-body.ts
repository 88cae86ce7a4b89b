// On the path of every call. The body of the raw form: forwarded
// unparsed and unbuffered, with an idle limit instead of a total limit.
import type { IncomingMessage } from 'node:http'
import { AppError } from '../../core/errors.ts'
import type { Upload } from '../dispatch/worker-exchange.ts'
import { sayContinue } from './expectation.ts'

const BODY_IDLE_MS = 30_000
/** A body up to this size is kept while its call runs: a worker that is busy costs such a call nothing. */
const KEPT_BYTES = 64 * 1024

/**
 * The caller's body as an iterable that undici can send. Not the stream itself: undici destroys a stream when an attempt
 * fails, and with it the connection on which the caller waits. The idle limit applies only to the caller: while the worker is
 * slow to accept a part, nothing is read from the stream.
 * @throws {AppError} which ends the attempt: `request_timeout` when the caller sends nothing for `idleMs`, `request_invalid`
 * when the body is incomplete.
 */
export function rawBody(stream: IncomingMessage, idleMs = BODY_IDLE_MS): Upload & AsyncGenerator<Uint8Array> {
  let awaited = false
  let hasEnded = false
  let size = 0
  const kept: Uint8Array[] = []
  async function* read(): AsyncGenerator<Uint8Array> {
    sayContinue(stream)
    const parts = stream.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Uint8Array>
    using limit = idleLimit(idleMs)
    for (;;) {
      awaited = true
      const part = await limit.next(parts).catch((cause: unknown) => {
        if (cause instanceof AppError) throw cause
        throw new AppError('request_invalid', 'the body is incomplete', { cause })
      })
      awaited = false
      if (part.done === true) {
        hasEnded = true
        return
      }
      size += part.value.length
      if (size <= KEPT_BYTES) kept.push(part.value)
      else kept.length = 0
      yield part.value
    }
  }
  const whole = (): Buffer | undefined => (hasEnded && size <= KEPT_BYTES ? Buffer.concat(kept) : undefined)
  return Object.assign(read(), { isAwaited: () => awaited, whole })
}

/** One timer for all parts of a body; it counts while a part is awaited. */
function idleLimit(idleMs: number) {
  let fail: ((error: AppError) => void) | undefined
  const timer = setTimeout(() => fail?.(new AppError('request_timeout', 'the body stopped arriving')), idleMs)
  return {
    next<T>(parts: AsyncIterator<T>): Promise<IteratorResult<T>> {
      timer.refresh()
      return new Promise((resolve, reject) => {
        fail = reject
        parts.next().then(
          (part) => {
            fail = undefined
            resolve(part)
          },
          (cause: unknown) => {
            fail = undefined
            reject(cause instanceof Error ? cause : new Error('the body broke off', { cause }))
          },
        )
      })
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  }
}
