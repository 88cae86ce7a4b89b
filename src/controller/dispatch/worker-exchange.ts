// On the path of every call. One attempt at one worker: sends the request once, streams the answer, and names every way to
// end. A class, because undici's dispatch is fastest with a handler object, and an exchange is state with a strict order.
import { errors, type Dispatcher } from 'undici'
import { AppError } from '../../core/errors.ts'
import type { Effect, Outcome } from '../../core/outcome.ts'
import type { WorkerFault } from '../../core/worker-health.ts'
import type { StartTimeout, Timeout } from '../../platform/timeouts.ts'
import { answerHeaders, framingFault, isEncoded } from './headers.ts'

/**
 * Where the answer goes. `write` returns false when the caller is slow.
 * @example
 * sink.watch(() => worker.resume(), () => worker.abort())
 * sink.start(200, ['content-type', 'application/json'])
 * if (!sink.write(chunk)) worker.pause()
 * sink.end()
 */
export type AnswerSink = {
  start: (status: number, headers: string[]) => void
  write: (chunk: Buffer) => boolean
  end: () => void
  /** Breaks the connection, so that an incomplete body never looks complete. */
  abort: () => void
  /** Each attempt adds its own listeners; attempts that have ended ignore events. */
  watch: (onDrain: () => void, onLeave: () => void) => void
  /** Whether the caller has left: nothing may be done for it any more. */
  hasLeft: () => boolean
  /** Who ended the connection to the caller: the caller itself, or the controller at the end of its drain. */
  goneBy: () => 'caller_left' | 'shutdown'
}

/**
 * How an attempt ended. `sent` is false only if no byte of the request was sent: then another worker may be tried.
 * `error` is set when the caller has not been answered yet.
 */
export type ExchangeResult = {
  readonly outcome: Outcome
  readonly status: number
  readonly sent: boolean
  readonly effect: Effect
  readonly error: AppError | undefined
  /** Undefined: the attempt says nothing against the worker. */
  readonly fault: WorkerFault | undefined
}

/**
 * A body that the caller is still sending. `isAwaited`: its next part was requested, and the caller has not sent it yet.
 * `whole`: all of it, once it was read to its end and if it is small; it can then be sent again.
 */
export type Upload = AsyncIterable<Uint8Array> & {
  readonly isAwaited: () => boolean
  readonly whole: () => Buffer | undefined
}

/**
 * `firstByteMs` counts from the last part of the body that the worker accepted, `idleMs` from the last byte of either side: the
 * time of a steady upload does not count against the worker. rawBody limits the caller's own pauses.
 */
export type ExchangeLimits = {
  readonly firstByteMs: number
  readonly idleMs: number
  readonly upload?: Upload | undefined
  readonly startTimeout: StartTimeout
}

const NO_ANSWER = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseContentLengthMismatchError]
/** The worker runtime's code for `max_concurrency` reached. */
const BUSY = 'BUSY'
/** The codes of a 503 with which the runtime refuses a call before any work. */
const NOT_BEGUN: ReadonlySet<string | undefined> = new Set([BUSY, 'SHUTTING_DOWN'])
/** After this time a worker that cannot be reached may be back, or removed from the registry. */
const UNREACHED_RETRY_S = 5
const MAX_RETRY_AFTER_S = 300
const FAULT_BODY_BYTES = 16 * 1024

export class WorkerExchange implements Dispatcher.DispatchHandler {
  readonly #sink: AnswerSink
  readonly #workerId: string
  readonly #limits: ExchangeLimits
  readonly #declaredErrors: ReadonlySet<string>
  readonly #settle: (result: ExchangeResult) => void
  #controller: Dispatcher.DispatchController | undefined
  #timer: Timeout
  #answeredMs: number | undefined
  #uploadedMs: number | undefined
  #status = 0
  #sent = false
  #started = false
  #retryAfterS: number | undefined
  #settled = false
  /** Paused: the caller reads more slowly than the worker sends. */
  #held = false
  /** The body of a 3xx or 5xx answer, read only for the worker's own error code. */
  #fault: Buffer[] | undefined
  #faultBytes = 0

  constructor(
    sink: AnswerSink,
    workerId: string,
    limits: ExchangeLimits,
    declaredErrors: ReadonlySet<string>,
    settle: (result: ExchangeResult) => void,
  ) {
    this.#sink = sink
    this.#workerId = workerId
    this.#limits = limits
    this.#declaredErrors = declaredErrors
    this.#settle = settle
    this.#timer = limits.startTimeout(this.#onTimeout, limits.firstByteMs)
    sink.watch(this.#onDrain, this.#onLeave)
  }

  /** When the worker's answer began (`performance.now()`); undefined: not yet. */
  get answeredMs(): number | undefined {
    return this.#answeredMs
  }

  /** When the worker accepted the last part of an upload; undefined for a body that was there from the start. */
  get uploadedMs(): number | undefined {
    return this.#uploadedMs
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Settled while waiting for a connection (deadline, caller left): nothing may be sent any more.
    if (this.#settled) controller.abort(new Error('the call is over'))
    else this.#sent = true
  }

  /** undici calls this for each part of the body that it wrote. */
  onBodySent(): void {
    if (this.#limits.upload !== undefined) this.#uploadedMs = performance.now()
    if (!this.#settled && !this.#held) this.#timer.refresh()
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200 || this.#settled) return
    this.#status = status
    this.#answeredMs = performance.now()
    this.#retryAfterS = retryAfterOf(headers)
    const fault = framingFault(status, headers)
    if (isEncoded(headers)) this.#fail('worker_failed', 'the worker sent a compressed answer', 'answer')
    else if (status >= 500 || (status >= 300 && status < 400)) this.#fault = []
    else if (fault !== undefined) this.#fail('worker_failed', fault, 'answer')
    else {
      // The first-byte deadline applies until here: the body of an error answer does not go to the caller.
      this.#timer.stop()
      this.#timer = this.#limits.startTimeout(this.#onTimeout, this.#limits.idleMs)
      this.#started = true
      this.#sink.start(status, answerHeaders(status, headers, this.#workerId))
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return
    if (this.#fault !== undefined) {
      this.#faultBytes += chunk.length
      if (this.#faultBytes <= FAULT_BODY_BYTES) this.#fault.push(chunk)
      else this.#fail('worker_failed', `the worker answered ${this.#status}`, 'answer')
      return
    }
    this.#timer.refresh()
    if (!this.#sink.write(chunk)) {
      this.#held = true
      controller.pause()
    }
  }

  onResponseEnd(): void {
    if (this.#settled) return
    if (this.#fault === undefined) {
      const nothing = { error: undefined, fault: undefined }
      this.#finish({ outcome: 'completed', status: this.#status, sent: true, effect: 'answered', ...nothing })
      this.#sink.end()
      return
    }
    const code = codeIn(this.#fault)
    const error = this.#errorOfFault(code)
    const effect = this.#status === 503 && NOT_BEGUN.has(code) ? 'none' : 'answered'
    // A declared error is an answer of the capability.
    const fault = effect === 'none' || error.reasonCode !== undefined ? undefined : 'answer'
    this.#finish({ outcome: 'worker_failed', status: error.kind.status, sent: true, effect, error, fault })
  }

  #errorOfFault(code: string | undefined): AppError {
    const again = this.#status === 503 ? optional('retryAfterS', this.#retryAfterS) : {}
    if (this.#status === 503 && code === BUSY) {
      return new AppError('worker_busy', `the worker ${this.#workerId} is at its limit of calls`, again)
    }
    const declared = code !== undefined && this.#declaredErrors.has(code) ? code : undefined
    const reason = `the worker answered ${this.#status}${declared === undefined ? '' : ` (${declared})`}`
    return new AppError('worker_failed', reason, { ...optional('reasonCode', declared), ...again })
  }

  onResponseError(_controller: unknown, cause: Error): void {
    if (this.#settled) return
    // The caller's body ended the attempt, so this is not the worker's fault.
    if (isCallersFault(cause)) {
      this.#fail('caller_left', cause.message, undefined, cause)
      return
    }
    if (isNoAnswer(cause)) {
      this.#fail('worker_failed', 'the worker did not answer in HTTP/1.1', 'answer', cause)
      return
    }
    // Broken after the request was sent and before an answer: the work may or may not have been done.
    const unknown = this.#sent && this.#status === 0
    const worker = `the worker ${this.#workerId}`
    const reason = this.#sent ? `the connection to ${worker} broke` : `${worker} could not be reached`
    this.#fail(unknown ? 'unknown' : 'worker_failed', reason, this.#sent ? 'reset' : 'unreachable', cause)
  }

  readonly #onTimeout = (): void => {
    if (this.#held) this.#fail('caller_left', 'the caller stopped reading')
    else if (this.#limits.upload?.isAwaited() === true) this.#timer.refresh()
    else {
      const reason = this.#started ? 'the worker stopped sending' : 'the worker did not answer in time'
      this.#fail('timeout', reason, 'timeout')
    }
  }

  readonly #onDrain = (): void => {
    if (this.#settled) return
    this.#held = false
    this.#timer.refresh()
    this.#controller?.resume()
  }

  readonly #onLeave = (): void => {
    const outcome = this.#sink.goneBy()
    this.#fail(outcome, outcome === 'shutdown' ? 'the controller shut down' : 'the caller left')
  }

  #fail(outcome: Outcome, reason: string, fault?: WorkerFault, cause?: Error): void {
    if (this.#settled) return
    const error = this.#errorOf(outcome, reason, cause)
    const status = this.#started ? this.#status : error.kind.status
    const effect = this.#sent ? 'unclear' : 'none'
    this.#finish({ outcome, status, sent: this.#sent, effect, error: this.#started ? undefined : error, fault })
    this.#controller?.abort(error)
    if (this.#started) this.#sink.abort()
  }

  #errorOf(outcome: Outcome, reason: string, cause: Error | undefined): AppError {
    if (cause !== undefined && isCallersFault(cause)) return cause
    if (outcome === 'shutdown') return new AppError('shutting_down', reason)
    if (outcome === 'timeout') return new AppError('worker_timeout', reason, { cause })
    return new AppError('worker_failed', reason, { cause, ...(this.#sent ? {} : { retryAfterS: UNREACHED_RETRY_S }) })
  }

  #finish(result: ExchangeResult): void {
    this.#settled = true
    this.#timer.stop()
    this.#settle(result)
  }
}

/** True for errors of the caller's body; the connector's own errors have the code `worker_failed`. */
function isCallersFault(cause: Error): cause is AppError {
  return cause instanceof AppError && cause.code !== 'worker_failed'
}

/** The worker sent bytes that are not a valid HTTP answer. */
function isNoAnswer(cause: Error): boolean {
  return NO_ANSWER.some((kind) => cause instanceof kind)
}

/** The worker's own error code, if its body names one. */
function codeIn(body: Buffer[]): string | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(body).toString('utf8'))
    const code = typeof parsed === 'object' && parsed !== null && 'error' in parsed ? parsed.error : undefined
    return typeof code === 'string' ? code : undefined
  } catch {
    return undefined // Not JSON: an error without a code.
  }
}

/** Whole seconds, limited to a sensible range; dates and other values are ignored. */
function retryAfterOf(headers: Readonly<Record<string, string | string[] | undefined>>): number | undefined {
  const value = headers['retry-after']
  if (typeof value !== 'string' || !/^[0-9]{1,6}$/.test(value)) return undefined
  return Math.min(Math.max(Number(value), 1), MAX_RETRY_AFTER_S)
}

function optional<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [name]: value } as Record<K, V>)
}
