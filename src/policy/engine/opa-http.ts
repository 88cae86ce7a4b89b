// On the path of every call. The OPA sidecar: POST /v1/data/crank/<question>/decision?provenance=true over kept-alive
// connections (TCP or unix socket). One deadline covers queueing, connecting, asking and reading; it is a timer of our own,
// undici's headersTimeout fires a second late. A question changes nothing: on a kept connection that turns out to be dead it
// is asked once more, within the same deadline.
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
// Beyond it a new question would only wait for its deadline: refused at once, so that a hanging OPA cannot fill memory.
const MAX_IN_FLIGHT = 1024
const MAX_ANSWER_BYTES = 64 * 1024
const WRONG_HTTP = [errors.HTTPParserError, errors.ResponseContentLengthMismatchError, errors.HeadersOverflowError]
const JSON_TYPE = /^application\/json\s*(?:;|$)/i

/**
 * An engine that asks an OPA server. Rejects with `policy_engine_unavailable` (nothing came in `timeoutMs`, connection
 * refused or broken) or `policy_engine_error` (not HTTP 200, not JSON, over 64 KiB, not the decision that was asked for).
 */
export function createOpaHttp({ target, timeoutMs, now = () => performance.now() }: OpaHttpOptions): PolicyEngine {
  let pool = openPool(target)
  let inFlight = 0

  // After an answer that belongs to another question no connection's order can be relied on: all are dropped. The
  // decisions that were waiting on them fail closed.
  const distrust = (suspect: Pool): void => {
    if (suspect !== pool) return
    pool = openPool(target)
    void suspect.destroy(new Error('an answer came out of step'))
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
        // OPA makes a span of a question that no request asked, unless it is told not to.
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
  /** Asks once more. */
  readonly again: (call: Call) => void
  readonly onForeignAnswer: () => void
}

/** One question on its way. Settles exactly once; what it throws out of a callback destroys the connection. */
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
    if (this.#settled) controller.abort(new Error('its deadline passed while it was queued'))
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

  /** Nothing of an answer has come, and OPA had been there: it may be again. */
  #mayAskAgain(error: Error): boolean {
    return this.#isFirst && !this.#hasAnswer && !this.#settled && isDeadConnection(error)
  }

  #askAgain(): void {
    this.#isFirst = false
    // After this turn of the loop the pool has seen the end of every connection that ended with this one.
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
    // A stalled event loop can bring the answer before the timer's turn; late is late.
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

/** Something answered, but not in HTTP. */
function isWrongHttp(error: Error): boolean {
  return WRONG_HTTP.some((kind) => error instanceof kind)
}
