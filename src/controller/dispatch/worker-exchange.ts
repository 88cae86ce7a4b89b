// One attempt at one worker: the request goes out once, the answer streams through, every end is named.
// A class because undici's dispatch is fastest with a handler object, and an exchange is state with a strict order.
import { errors, type Dispatcher } from 'undici'
import { AppError } from '../../core/errors.ts'
import type { Outcome } from '../../core/outcome.ts'
import { answerHeaders, framingFault, isEncoded } from './headers.ts'

/** Where the answer goes. `write` answers false when the caller is slow. */
export type AnswerSink = {
  start: (status: number, headers: string[]) => void
  write: (chunk: Buffer) => boolean
  end: () => void
  /** Breaks the connection, so that a short body never looks whole. */
  abort: () => void
  /** Each attempt listens anew; ended attempts ignore what they hear. */
  watch: (onDrain: () => void, onLeave: () => void) => void
  /** The caller is gone already: nothing may be done for it any more. */
  hasLeft: () => boolean
}

/**
 * How an attempt ended. `sent` is false only when not one byte of the request left: then another worker may be tried.
 * `error` is set when the caller has not been answered yet.
 */
export type ExchangeResult = {
  readonly outcome: Outcome
  readonly status: number
  readonly sent: boolean
  readonly error: AppError | undefined
}

/** A body that is still being sent by the caller. `isAwaited`: its next part is asked for, and the caller has not sent it yet. */
export type Upload = AsyncIterable<Uint8Array> & { readonly isAwaited: () => boolean }

/**
 * `firstByteMs` counts from the last part of the body that the worker took, `idleMs` from the last byte of either side: the time
 * of a steady upload is not the worker's. The caller's own pauses have a limit in the body.
 */
export type ExchangeLimits = {
  readonly firstByteMs: number
  readonly idleMs: number
  readonly upload?: Upload | undefined
}

const NO_ANSWER = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseContentLengthMismatchError]
const FAULT_BODY_BYTES = 16 * 1024

export class WorkerExchange implements Dispatcher.DispatchHandler {
  readonly #sink: AnswerSink
  readonly #workerId: string
  readonly #limits: ExchangeLimits
  readonly #declaredErrors: ReadonlySet<string>
  readonly #settle: (result: ExchangeResult) => void
  #controller: Dispatcher.DispatchController | undefined
  #timer: NodeJS.Timeout
  #status = 0
  #sent = false
  #started = false
  #settled = false
  /** The caller does not read as fast as the worker sends. */
  #held = false
  /** Body of a 3xx or 5xx answer, read only for the worker's own error code. */
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
    this.#timer = setTimeout(this.#onTimeout, limits.firstByteMs)
    sink.watch(this.#onDrain, this.#onLeave)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Settled while waiting for a connection (deadline, caller gone): nothing may be sent any more.
    if (this.#settled) controller.abort(new Error('the call is over'))
    else this.#sent = true
  }

  /** undici's, for each part of the body that it wrote. */
  onBodySent(): void {
    if (!this.#settled && !this.#held) this.#timer.refresh()
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200 || this.#settled) return
    this.#status = status
    const fault = framingFault(status, headers)
    if (isEncoded(headers)) this.#fail('worker_failed', 'the worker sent a compressed answer')
    else if (status >= 500 || (status >= 300 && status < 400)) this.#fault = []
    else if (fault !== undefined) this.#fail('worker_failed', fault)
    else {
      // Until here the first-byte deadline holds: a fault's body is no byte for the caller.
      clearTimeout(this.#timer)
      this.#timer = setTimeout(this.#onTimeout, this.#limits.idleMs)
      this.#started = true
      this.#sink.start(status, answerHeaders(status, headers, this.#workerId))
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return
    if (this.#fault !== undefined) {
      this.#faultBytes += chunk.length
      if (this.#faultBytes <= FAULT_BODY_BYTES) this.#fault.push(chunk)
      else this.#fail('worker_failed', `the worker answered ${this.#status}`)
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
      this.#finish({ outcome: 'completed', status: this.#status, sent: true, error: undefined })
      this.#sink.end()
      return
    }
    const code = declaredCode(this.#fault, this.#declaredErrors)
    const reason = `the worker answered ${this.#status}${code === undefined ? '' : ` (${code})`}`
    const options = code === undefined ? {} : { reasonCode: code }
    this.#finish({
      outcome: 'worker_failed',
      status: 502,
      sent: true,
      error: new AppError('worker_failed', reason, options),
    })
  }

  onResponseError(_controller: unknown, cause: Error): void {
    if (this.#settled) return
    // The caller's own body ended the attempt: not the worker's fault.
    if (isCallersFault(cause)) {
      this.#fail('caller_left', cause.message, cause)
      return
    }
    if (isNoAnswer(cause)) {
      this.#fail('worker_failed', 'the worker did not answer in HTTP/1.1', cause)
      return
    }
    // Broken after the request left and before an answer: nobody knows whether the work was done.
    const unknown = this.#sent && this.#status === 0
    const reason = this.#sent ? 'the connection to the worker broke' : 'the worker could not be reached'
    this.#fail(unknown ? 'unknown' : 'worker_failed', reason, cause)
  }

  readonly #onTimeout = (): void => {
    if (this.#held) this.#fail('caller_left', 'the caller stopped reading')
    else if (this.#limits.upload?.isAwaited() === true) this.#timer.refresh()
    else this.#fail('timeout', this.#started ? 'the worker stopped sending' : 'the worker did not answer in time')
  }

  readonly #onDrain = (): void => {
    if (this.#settled) return
    this.#held = false
    this.#timer.refresh()
    this.#controller?.resume()
  }

  readonly #onLeave = (): void => {
    this.#fail('caller_left', 'the caller left')
  }

  #fail(outcome: Outcome, reason: string, cause?: Error): void {
    if (this.#settled) return
    const error = errorOf(outcome, reason, cause)
    const status = this.#started ? this.#status : error.kind.status
    this.#finish({ outcome, status, sent: this.#sent, error: this.#started ? undefined : error })
    this.#controller?.abort(error)
    if (this.#started) this.#sink.abort()
  }

  #finish(result: ExchangeResult): void {
    this.#settled = true
    clearTimeout(this.#timer)
    this.#settle(result)
  }
}

function errorOf(outcome: Outcome, reason: string, cause: Error | undefined): AppError {
  if (cause !== undefined && isCallersFault(cause)) return cause
  return new AppError(outcome === 'timeout' ? 'worker_timeout' : 'worker_failed', reason, { cause })
}

/** What the body throws; the connector's own errors blame the worker. */
function isCallersFault(cause: Error): cause is AppError {
  return cause instanceof AppError && cause.code !== 'worker_failed'
}

/** Bytes came, and they were none of an answer. */
function isNoAnswer(cause: Error): boolean {
  return NO_ANSWER.some((kind) => cause instanceof kind)
}

/** The worker's own error code, if its body names one that the capability declared. */
function declaredCode(body: Buffer[], declared: ReadonlySet<string>): string | undefined {
  if (declared.size === 0) return undefined
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(body).toString('utf8'))
    const code = typeof parsed === 'object' && parsed !== null && 'error' in parsed ? parsed.error : undefined
    return typeof code === 'string' && declared.has(code) ? code : undefined
  } catch {
    return undefined // Not JSON: a fault without a code.
  }
}
