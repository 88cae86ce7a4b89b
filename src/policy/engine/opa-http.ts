// On the path of every call. The OPA sidecar: POST /v1/data/crank/<question>/decision?provenance=true over kept-alive
// connections (TCP or unix socket). One deadline covers queueing, connecting, asking and reading; it has its own timer,
// since undici's headersTimeout fires a second late. A question changes nothing, so when a kept connection turns out to be
// dead the question is sent once more, within the same deadline.
import { errors, Pool, type Dispatcher } from 'undici'
import type { Decision, PolicyEngine } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { formatTraceparent, unrecordedTrace } from '../../core/trace-context.ts'
import { ForeignAnswerError, parseAnswer, wrongAnswer } from './answer.ts'
import { inputText } from './input-text.ts'
import { answerBody, bundleRevision, isDeadConnection, poolOptions, type OpaTarget } from './opa-target.ts'

/** `now`: a monotonic clock in ms. */
type OpaHttpOptions = { readonly target: OpaTarget; readonly timeoutMs: number; readonly now?: () => number }

const CONNECTIONS = 64
// Beyond this limit a question would only wait for its deadline. It is refused at once: a hanging OPA cannot fill memory.
const MAX_IN_FLIGHT = 1024
const MAX_ANSWER_BYTES = 64 * 1024
const WRONG_HTTP = [errors.HTTPParserError, errors.ResponseContentLengthMismatchError, errors.HeadersOverflowError]
const JSON_TYPE = /^application\/json\s*(?:;|$)/i

/**
 * An engine that asks an OPA server. Rejects with `policy_engine_unavailable` (no answer within `timeoutMs`, connection
 * refused or broken) or `policy_engine_error` (not HTTP 200, not JSON, over 64 KiB, not the requested decision).
 */
export function createOpaHttp({ target, timeoutMs, now = () => performance.now() }: OpaHttpOptions): PolicyEngine {
  let pool = openPool(target)
  let inFlight = 0

  // After an answer that belongs to another question, the order of answers on no connection is reliable: all connections are
  // closed, and the decisions waiting on them fail closed.
  const distrust = (suspect: Pool): void => {
    if (suspect !== pool) return
    pool = openPool(target)
    void suspect.destroy(new Error('an answer belonged to another question'))
  }

  return {
    name: 'opa-http',
    decide: (question, input, trace) =>
      new Promise<Decision>((resolve, reject) => {
        if (inFlight >= MAX_IN_FLIGHT) throw unavailable(new Error('too many decisions are waiting'))
        inFlight += 1
        const settle = (outcome: Decision | AppError): void => {
          inFlight -= 1
          if (outcome instanceof AppError) reject(outcome)
          else resolve(outcome)
        }
        const decisionId = input.context.decision_id
        const headers = ['content-type', 'application/json']
        // Without a traceparent that is not sampled, OPA would record a span for a question that no request asked.
        if (trace !== null) headers.push('traceparent', formatTraceparent(trace ?? unrecordedTrace()))
        const request: Dispatcher.DispatchOptions = {
          method: 'POST',
          path: `/v1/data/crank/${question}/decision?provenance=true`,
          headers,
          body: `{"input":${inputText(input)}}`,
        }
        let used = pool
        const send = (call: Call): void => {
          used = pool
          used.dispatch(request, call)
        }
        send(new Call({ decisionId, timeoutMs, now, settle, again: send, onForeignAnswer: () => distrust(used) }))
      }),
    close: () => pool.destroy(),
  }
}

function openPool(target: OpaTarget): Pool {
  const { origin, options } = poolOptions(target)
  return new Pool(origin, { ...options, connections: CONNECTIONS })
}

function unavailable(cause: unknown): AppError {
  return new AppError('policy_engine_unavailable', undefined, { cause })
}

type CallOptions = {
  readonly decisionId: string
  readonly timeoutMs: number
  readonly now: () => number
  readonly settle: (outcome: Decision | AppError) => void
  /** Sends the question again. */
  readonly again: (call: Call) => void
  readonly onForeignAnswer: () => void
}

/** One question in flight. Settles exactly once; an error thrown from a callback destroys the connection. */
class Call implements Dispatcher.DispatchHandler {
  readonly #options: CallOptions
  readonly #startedMs: number
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  #settled = false
  #isFirst = true
  #hasAnswer = false
  #bytes = 0
  #chunks: Buffer[] = []

  constructor(options: CallOptions) {
    this.#options = options
    this.#startedMs = options.now()
    this.#timer = setTimeout(() => this.#onDeadline(), options.timeoutMs)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#settled) controller.abort(new Error('the deadline passed while the question was queued'))
  }

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    this.#hasAnswer = true
    if (status !== 200) throw wrongAnswer(new Error(`HTTP ${status}`))
    const type = headers['content-type']
    if (typeof type !== 'string' || !JSON_TYPE.test(type)) throw wrongAnswer(new Error('not application/json'))
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > MAX_ANSWER_BYTES) throw wrongAnswer(new Error('answer is larger than 64 KiB'))
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    try {
      this.#settle(this.#read())
    } catch (cause: unknown) {
      const error = cause instanceof AppError ? cause : wrongAnswer(cause)
      if (error.cause instanceof ForeignAnswerError) this.#options.onForeignAnswer()
      this.#settle(error)
    }
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (error instanceof AppError) this.#settle(error)
    else if (this.#mayAskAgain(error)) this.#askAgain()
    else this.#settle(isWrongHttp(error) ? wrongAnswer(error) : unavailable(error))
  }

  /** No part of an answer has arrived, and OPA had been reachable before: it may be again. */
  #mayAskAgain(error: Error): boolean {
    return this.#isFirst && !this.#hasAnswer && !this.#settled && isDeadConnection(error)
  }

  #askAgain(): void {
    this.#isFirst = false
    // In the next turn of the event loop the pool has noticed every connection that ended together with this one.
    setImmediate(() => {
      try {
        if (!this.#settled) this.#options.again(this)
      } catch (cause: unknown) {
        this.#settle(unavailable(cause))
      }
    })
  }

  #read(): Decision {
    const { now, timeoutMs, decisionId } = this.#options
    // After a stall of the event loop the answer may arrive before the timer fires; it is too late all the same.
    if (now() - this.#startedMs > timeoutMs) throw unavailable(new Error('the answer came after the deadline'))
    const [first, ...more] = this.#chunks
    const text = (more.length === 0 && first !== undefined ? first : Buffer.concat(this.#chunks)).toString('utf8')
    const body = answerBody(text)
    const decision = parseAnswer(body['result'], decisionId)
    const revision = bundleRevision(body)
    return revision === undefined ? decision : { ...decision, revision }
  }

  #onDeadline(): void {
    this.#settle(unavailable(new Error(`no answer within ${this.#options.timeoutMs} ms`)))
    this.#controller?.abort(new Error('deadline'))
  }

  #settle(outcome: Decision | AppError): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#timer)
    this.#options.settle(outcome)
  }
}

/** Whether the server answered, but not in valid HTTP. */
function isWrongHttp(error: Error): boolean {
  return WRONG_HTTP.some((kind) => error instanceof kind)
}
