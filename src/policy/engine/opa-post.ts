// On the path of every call. One POST to OPA over kept-alive connections (TCP or unix socket), and its answer as text. A
// question changes nothing, so when a kept connection turns out to be dead it is sent once more. Deadlines are the caller's:
// undici's headersTimeout fires a second late.
import { errors, Pool, type Dispatcher } from 'undici'
import { AppError } from '../../core/errors.ts'
import { wrongAnswer } from './answer.ts'
import { isDeadConnection, poolOptions, type OpaTarget } from './opa-target.ts'

type OpaPost = {
  readonly path: string
  readonly body: string
  /** Undefined: the request belongs to no known trace. */
  readonly traceparent: string | undefined
  readonly maxAnswerBytes: number
  /** Called once: the body of a 200 with JSON, or the error that there was instead. */
  readonly onEnd: (end: string | AppError) => void
}

/** A POST that was sent. */
type SentPost = {
  /** Ends it as unavailable, unless it has ended. */
  readonly abort: (reason: string) => void
  /** Its answer belonged to another question: ends all POSTs on the connections that it used, none of which is reliable. */
  readonly distrust: () => void
}

export type OpaPoster = { readonly post: (post: OpaPost) => SentPost; readonly close: () => Promise<void> }

/** OPA answered with this status instead of 200. */
export class OpaStatusError extends Error {
  override readonly name = 'OpaStatusError'
  readonly status: number

  constructor(status: number) {
    super(`HTTP ${status}`)
    this.status = status
  }
}

const CONNECTIONS = 64
const WRONG_HTTP = [errors.HTTPParserError, errors.ResponseContentLengthMismatchError, errors.HeadersOverflowError]
const JSON_TYPE = /^application\/json\s*(?:;|$)/i

export function createOpaPoster(target: OpaTarget): OpaPoster {
  let pool = openPool(target)
  return {
    post({ path, body, traceparent, maxAnswerBytes, onEnd }) {
      const headers = ['content-type', 'application/json']
      if (traceparent !== undefined) headers.push('traceparent', traceparent)
      const request: Dispatcher.DispatchOptions = { method: 'POST', path, headers, body }
      let used = pool
      const send = (): void => {
        used = pool
        used.dispatch(request, exchange)
      }
      const exchange = new Exchange({ maxAnswerBytes, onEnd, send })
      exchange.start()
      return {
        abort: (reason) => exchange.abort(reason),
        distrust() {
          if (used !== pool) return
          pool = openPool(target)
          void used.destroy(new Error('an answer belonged to another question'))
        },
      }
    },
    close: () => pool.destroy(),
  }
}

function openPool(target: OpaTarget): Pool {
  const { origin, options } = poolOptions(target)
  return new Pool(origin, { ...options, connections: CONNECTIONS })
}

export function unavailable(cause: unknown): AppError {
  return new AppError('policy_engine_unavailable', undefined, { cause })
}

type ExchangeOptions = Pick<OpaPost, 'maxAnswerBytes' | 'onEnd'> & {
  /** Dispatches the request, with this exchange as its handler. */
  readonly send: () => void
}

/** One request and its answer. Ends exactly once; an error thrown from a callback destroys the connection. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions
  #controller: Dispatcher.DispatchController | undefined
  #ended = false
  #isFirst = true
  #hasAnswer = false
  #bytes = 0
  #chunks: Buffer[] = []

  constructor(options: ExchangeOptions) {
    this.#options = options
  }

  start(): void {
    try {
      this.#options.send()
    } catch (cause: unknown) {
      this.#end(unavailable(cause))
    }
  }

  abort(reason: string): void {
    this.#end(unavailable(new Error(reason)))
    this.#controller?.abort(new Error(reason))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#ended) controller.abort(new Error('the deadline passed while the question was queued'))
  }

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    this.#hasAnswer = true
    if (status !== 200) throw wrongAnswer(new OpaStatusError(status))
    const type = headers['content-type']
    if (typeof type !== 'string' || !JSON_TYPE.test(type)) throw wrongAnswer(new Error('not application/json'))
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    const { maxAnswerBytes } = this.#options
    this.#bytes += chunk.length
    if (this.#bytes > maxAnswerBytes) throw wrongAnswer(new Error(`answer is larger than ${maxAnswerBytes} bytes`))
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    const [first, ...more] = this.#chunks
    this.#end((more.length === 0 && first !== undefined ? first : Buffer.concat(this.#chunks)).toString('utf8'))
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (error instanceof AppError) this.#end(error)
    else if (this.#maySendAgain(error)) this.#sendAgain()
    else this.#end(isWrongHttp(error) ? wrongAnswer(error) : unavailable(error))
  }

  /** No part of an answer has arrived, and OPA had been reachable before: it may be again. */
  #maySendAgain(error: Error): boolean {
    return this.#isFirst && !this.#hasAnswer && !this.#ended && isDeadConnection(error)
  }

  #sendAgain(): void {
    this.#isFirst = false
    // In the next turn of the event loop the pool has noticed every connection that ended together with this one.
    setImmediate(() => {
      if (!this.#ended) this.start()
    })
  }

  #end(end: string | AppError): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.onEnd(end)
  }
}

/** Whether the server answered, but not in valid HTTP. */
function isWrongHttp(error: Error): boolean {
  return WRONG_HTTP.some((kind) => error instanceof kind)
}
