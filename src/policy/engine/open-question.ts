// On the path of every call. One question from when it is asked until it is settled: by its decision, by an error, or by its
// deadline. The deadline covers waiting, connecting, asking and reading, and has a timer of its own.
import type { AskedTrace, Decision, PolicyInput } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { ForeignAnswerError, parseAnswer, wrongAnswer } from './answer.ts'
import { unavailable } from './opa-post.ts'

type OpenQuestionOptions = {
  readonly input: PolicyInput
  readonly trace: AskedTrace | null | undefined
  readonly timeoutMs: number
  /** Monotonic ms. */
  readonly now: () => number
  readonly settle: (outcome: Decision | AppError) => void
}

export class OpenQuestion {
  readonly input: PolicyInput
  readonly trace: AskedTrace | null | undefined
  /** Called when the deadline passes, after it has been settled. */
  onExpired: () => void = () => undefined
  readonly #options: OpenQuestionOptions
  readonly #startedMs: number
  readonly #timer: NodeJS.Timeout
  #isOpen = true

  constructor(options: OpenQuestionOptions) {
    this.input = options.input
    this.trace = options.trace
    this.#options = options
    this.#startedMs = options.now()
    this.#timer = setTimeout(() => {
      this.fail(unavailable(new Error(`no answer within ${options.timeoutMs} ms`)))
      this.onExpired()
    }, options.timeoutMs)
  }

  isOpen(): boolean {
    return this.#isOpen
  }

  /** Open, and not due: its timer may fire a moment late. */
  hasTime(): boolean {
    return this.#isOpen && this.#usedMs() < this.#options.timeoutMs
  }

  /**
   * Settles by what an engine answered to it. `foreign`: it answered another question.
   * `revision`: of the bundle that decided, if there is one.
   */
  take(result: unknown, revision: string | undefined): 'taken' | 'foreign' {
    try {
      const decision = parseAnswer(result, this.input.context.decision_id)
      // After a stall of the event loop the answer may arrive before the timer fires; it is too late all the same.
      const isLate = this.#usedMs() > this.#options.timeoutMs
      if (isLate) this.fail(unavailable(new Error('the answer came after the deadline')))
      else this.#settle(revision === undefined ? decision : { ...decision, revision })
      return 'taken'
    } catch (cause: unknown) {
      const error = cause instanceof AppError ? cause : wrongAnswer(cause)
      this.fail(error)
      return error.cause instanceof ForeignAnswerError ? 'foreign' : 'taken'
    }
  }

  fail(error: AppError): void {
    this.#settle(error)
  }

  #usedMs(): number {
    return this.#options.now() - this.#startedMs
  }

  #settle(outcome: Decision | AppError): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearTimeout(this.#timer)
    this.#options.settle(outcome)
  }
}
