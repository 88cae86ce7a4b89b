// On the path of every call. The body of the raw form: forwarded
// unparsed and unbuffered, with an idle limit instead of a total limit.
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { AppError } from '../../core/errors.ts'
import type { Upload } from '../dispatch/worker-exchange.ts'
import { sayContinue } from './expectation.ts'

const BODY_IDLE_MS = 30_000
/** A body up to this size is kept while its call runs: a worker that is busy costs such a call nothing. */
const KEPT_BYTES = 64 * 1024
/** What may arrive while the worker is slow. The reader pauses every 64 KiB for less than a turn; to stop the request each time costs more. */
const WAITING_BYTES = 64 * 1024

/**
 * The caller's body as something that undici can send. The idle limit applies only to the caller: while the worker is slow to
 * accept a part, nothing is read from the stream. It ends with an {AppError}, which ends the attempt: `request_timeout` when the
 * caller sends nothing for `idleMs`, `request_invalid` when the body is incomplete.
 */
export function rawBody(stream: IncomingMessage, idleMs = BODY_IDLE_MS): Upload {
  return new RawBody(stream, idleMs)
}

/**
 * Has the part of a stream that undici uses: `pipe` to be taken for one, the events `data`, `end` and `error`, `pause`, `resume`
 * and `destroy`. Not the request itself: undici destroys a stream when an attempt fails, and with it the connection on which
 * the caller waits. Not an async iterable either, whose promises cost as much for each part as sending it.
 */
class RawBody extends EventEmitter implements Upload {
  readonly #stream: IncomingMessage
  readonly #idleMs: number
  #idle: NodeJS.Timeout | undefined
  #kept: Uint8Array[] = []
  #size = 0
  #awaited = false
  /** Parts that arrived while the reader paused. */
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  /** The whole body is here; some of it may still wait. */
  #hasEnded = false
  #isRead = false
  destroyed = false

  constructor(stream: IncomingMessage, idleMs: number) {
    super()
    this.#stream = stream
    this.#idleMs = idleMs
  }

  isAwaited(): boolean {
    return this.#awaited
  }

  whole(): Buffer | undefined {
    return this.#hasEnded && this.#size <= KEPT_BYTES ? Buffer.concat(this.#kept) : undefined
  }

  pipe(): never {
    throw new Error('read the events')
  }

  /** Nothing is read before the first call. */
  resume(): this {
    if (this.destroyed || this.#isRead || this.#awaited) return this
    this.#awaited = true
    if (this.#idle === undefined) this.#begin()
    if (!this.#hasEnded) {
      this.#idle?.refresh()
      if (this.#stream.isPaused()) this.#stream.resume()
    }
    this.#passWaiting()
    return this
  }

  pause(): this {
    this.#awaited = false
    return this
  }

  /** Leaves the request as it is: its connection may carry the answer. */
  destroy(): this {
    this.destroyed = true
    this.#release()
    return this
  }

  /** For a reader that collects the body. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const parts: Uint8Array[] = []
    let wake: () => void = () => undefined
    let failure: AppError | undefined
    this.on('data', (part: Uint8Array) => {
      this.pause()
      parts.push(part)
      wake()
    })
    this.on('end', () => wake())
    this.on('error', (error: AppError) => {
      failure = error
      wake()
    })
    try {
      for (;;) {
        const part = parts.shift()
        if (part !== undefined) yield part
        else if (failure !== undefined) throw failure
        else if (this.#isRead) return
        else {
          const { promise, resolve } = Promise.withResolvers<undefined>()
          wake = () => resolve(undefined)
          this.resume()
          await promise
        }
      }
    } finally {
      this.destroy()
    }
  }

  #begin(): void {
    sayContinue(this.#stream)
    this.#idle = setTimeout(this.#onIdle, this.#idleMs)
    this.#stream.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose).on('error', this.#onClose)
    // The caller may have left while the call waited for its turn.
    if (this.#stream.destroyed) process.nextTick(this.#onClose)
  }

  readonly #onData = (part: Uint8Array): void => {
    this.#idle?.refresh()
    this.#size += part.length
    if (this.#size <= KEPT_BYTES) this.#kept.push(part)
    else if (this.#kept.length > 0) this.#kept = []
    if (this.#awaited) {
      this.emit('data', part)
      return
    }
    this.#waiting.push(part)
    this.#waitingBytes += part.length
    if (this.#waitingBytes >= WAITING_BYTES) this.#stream.pause()
  }

  readonly #onEnd = (): void => {
    this.#hasEnded = true
    this.#stopReading()
    if (this.#awaited) this.#passWaiting()
  }

  /** Until the reader pauses again. */
  #passWaiting(): void {
    for (let part = this.#waiting[0]; part !== undefined && this.#awaited; part = this.#waiting[0]) {
      this.#waiting.shift()
      this.#waitingBytes -= part.length
      this.emit('data', part)
    }
    if (!this.#hasEnded || this.#waiting.length > 0 || this.#isRead) return
    this.#isRead = true
    this.#awaited = false
    this.emit('end')
  }

  readonly #onClose = (cause?: Error): void => {
    this.#fail(new AppError('request_invalid', 'the body is incomplete', { cause }))
  }

  /** Paused: the worker is slow, not the caller. */
  readonly #onIdle = (): void => {
    if (this.#awaited) this.#fail(new AppError('request_timeout', 'the body stopped arriving'))
  }

  #fail(error: AppError): void {
    if (this.destroyed || this.#hasEnded) return
    this.destroy()
    // Without a listener the event would be thrown; then the attempt has ended already.
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #release(): void {
    this.#awaited = false
    this.#waiting = []
    this.#stopReading()
    // Without a reader it would lose what arrives now; whoever drops the rest resumes it.
    if (!this.#hasEnded) this.#stream.pause()
  }

  #stopReading(): void {
    clearTimeout(this.#idle)
    const stream = this.#stream
    stream.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose).off('error', this.#onClose)
  }
}
