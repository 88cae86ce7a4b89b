// The body of the raw form: passed through unparsed and unbuffered, with an idle limit in place of a limit in all.
import type { IncomingMessage } from 'node:http'
import { AppError } from '../../core/errors.ts'

const BODY_IDLE_MS = 30_000

/**
 * The caller's body as an iterable that undici can send. An iterable and not the stream itself: undici destroys a stream
 * when an attempt fails, and with it the connection that the caller waits on.
 * @throws {AppError} `request_timeout` (into the sending) when nothing arrives for 30 s.
 */
export async function* rawBody(stream: IncomingMessage): AsyncGenerator<Uint8Array> {
  const idle = setTimeout(() => {
    stream.destroy(new AppError('request_timeout', 'the body stopped arriving'))
  }, BODY_IDLE_MS)
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      idle.refresh()
      yield chunk
      idle.refresh()
    }
  } finally {
    clearTimeout(idle)
  }
}
