// The answer to a call with an idempotency key. It is kept back until it is complete and stored, so that no caller sees an
// answer that a retry would not get; what cannot be stored (an event stream, a large answer) passes through.
import type { AnswerSink } from '../dispatch/worker-exchange.ts'
import type { Holding } from '../idempotency/held-bytes.ts'
import { MAX_KEPT_BYTES } from './spool-body.ts'

type Head = { readonly status: number; readonly headers: string[] }

export type KeptAnswer = {
  readonly sink: AnswerSink
  /**
   * `none`: no answer began. `whole`: complete, and not sent yet. `broken`: it ended too early, and nothing was sent.
   * `passed`: the caller got it, or its beginning, from the worker.
   */
  readonly state: () => 'none' | 'whole' | 'broken' | 'passed'
  readonly answer: () => Head & { readonly body: Buffer }
}

/** `onPassed`: called at most once, when the answer begins to pass through. */
export function keepAnswer(caller: AnswerSink, holding: Holding, onPassed: () => void): KeptAnswer {
  return new Keeper(caller, holding, onPassed)
}

class Keeper implements KeptAnswer {
  readonly sink: AnswerSink
  readonly #caller: AnswerSink
  readonly #holding: Holding
  readonly #onPassed: () => void
  #state: ReturnType<KeptAnswer['state']> = 'none'
  #head: Head | undefined
  #parts: Buffer[] = []
  #bytes = 0
  #onLeave: () => void = () => undefined
  /** The caller had left when the answer began to pass through. */
  #isLost = false

  constructor(caller: AnswerSink, holding: Holding, onPassed: () => void) {
    this.#caller = caller
    this.#holding = holding
    this.#onPassed = onPassed
    this.sink = {
      start: this.#start,
      write: this.#write,
      end: this.#end,
      abort: this.#abort,
      watch: this.#watch,
      hasLeft: () => this.#isGone() && caller.hasLeft(),
      goneBy: caller.goneBy,
    }
  }

  readonly state: KeptAnswer['state'] = () => this.#state

  readonly answer: KeptAnswer['answer'] = () => {
    if (this.#head === undefined) throw new TypeError('there is no answer')
    return { ...this.#head, body: Buffer.concat(this.#parts, this.#bytes) }
  }

  readonly #start: AnswerSink['start'] = (status, headers) => {
    this.#head = { status, headers }
    if (!canBeKept(headers)) this.#pass(this.#head)
  }

  readonly #write: AnswerSink['write'] = (chunk) => {
    if (this.#isLost) return true
    if (this.#state === 'passed') return this.#caller.write(chunk)
    this.#bytes += chunk.length
    this.#parts.push(chunk)
    if (this.#bytes <= MAX_KEPT_BYTES && this.#holding.add(chunk.length)) return true
    return this.#head === undefined || this.#pass(this.#head)
  }

  readonly #end: AnswerSink['end'] = () => {
    if (this.#isLost) return
    if (this.#state === 'passed') this.#caller.end()
    else this.#state = 'whole'
  }

  readonly #abort: AnswerSink['abort'] = () => {
    if (this.#state === 'passed') this.#caller.abort()
    else this.#state = 'broken'
  }

  /** Without a caller the call goes on to its end, so that its answer can be stored; not beyond the end of the controller. */
  readonly #watch: AnswerSink['watch'] = (onDrain, onLeave) => {
    this.#onLeave = onLeave
    this.#caller.watch(onDrain, () => {
      if (this.#isGone()) onLeave()
    })
  }

  #isGone(): boolean {
    return this.#state === 'passed' || this.#caller.goneBy() === 'shutdown'
  }

  /** Sends what there is; the rest follows as it comes. @returns false: the caller is slow */
  #pass({ status, headers }: Head): boolean {
    this.#state = 'passed'
    this.#onPassed()
    if (this.#caller.hasLeft()) {
      this.#isLost = true
      // Not at once: the exchange is in the middle of a step.
      queueMicrotask(this.#onLeave)
      return true
    }
    this.#caller.start(status, headers)
    const parts = this.#parts
    this.#parts = []
    let isFast = true
    for (const part of parts) isFast = this.#caller.write(part)
    return isFast
  }
}

function canBeKept(headers: readonly string[]): boolean {
  for (let index = 0; index < headers.length; index += 2) {
    const [name, value = ''] = [headers[index], headers[index + 1]]
    if (name === 'content-type' && /^text\/event-stream\b/i.test(value)) return false
    if (name === 'content-length' && Number(value) > MAX_KEPT_BYTES) return false
  }
  return true
}
