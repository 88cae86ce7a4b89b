// On the path of every call. The line in front of a sidecar: a question that finds nothing in the way goes alone at once,
// those that have to wait go together, in one POST to data.crank.batch.decisions (decision 0060). Each answer counts only for
// the question whose decision id it has. An OPA without that entry point (an older bundle) is asked one by one.
import { formatTraceparent, unrecordedTrace } from '../../core/trace-context.ts'
import { AppError } from '../../core/errors.ts'
import { wrongAnswer } from './answer.ts'
import { inputText } from './input-text.ts'
import type { OpaPoster } from './opa-post.ts'
import { OpaStatusError } from './opa-post.ts'
import { answerBody, bundleRevision } from './opa-target.ts'
import type { OpenQuestion } from './open-question.ts'

/** Counts of all POSTs since the start. */
export type OpaTraffic = {
  /** Questions that were asked alone. */
  readonly alone: number
  readonly batches: number
  /** Questions that were asked in batches. */
  readonly batched: number
  /** OPA's policy has no entry point for batches. */
  readonly lacksBatches: boolean
}

type QuestionLine = {
  /** Asks a question about a call, alone or with others. */
  readonly ask: (question: OpenQuestion) => void
  /** Asks this question alone at once, whatever else is being asked. */
  readonly askAlone: (path: string, question: OpenQuestion, onEnd?: () => void) => void
  /** Asks these in one batch at once, at most 32; finds out whether OPA has the entry point. */
  readonly askTogether: (questions: readonly OpenQuestion[]) => void
  readonly traffic: () => OpaTraffic
}

/** As in policies/batch.rego. */
const MAX_ITEMS = 32
const MAX_POSTS = 2
const MAX_ANSWER_BYTES = 64 * 1024
const ACCESS = pathOf('crank/capability_access/decision')
const BATCH = pathOf('crank/batch/decisions')

/** `document`: below `data`, with slashes. */
export function pathOf(document: string): string {
  return `/v1/data/${document}?provenance=true`
}

export function createQuestionLine(poster: OpaPoster): QuestionLine {
  const { askAlone, askTogether, traffic } = createAsking(poster)
  let posts = 0
  // Empty while fewer than two POSTs are under way. May contain questions whose deadline has passed.
  const waiting: OpenQuestion[] = []

  const send = (questions: readonly OpenQuestion[]): void => {
    const [first, ...others] = questions
    if (first === undefined) return
    posts += 1
    if (others.length === 0) askAlone(ACCESS, first, next)
    else askTogether(questions, next)
  }
  const next = (): void => {
    posts -= 1
    while (posts < MAX_POSTS && waiting.length > 0) send(nextInLine(waiting))
  }
  return {
    ask(question) {
      if (traffic().lacksBatches) askAlone(ACCESS, question)
      else if (posts < MAX_POSTS) send([question])
      else waiting.push(question)
    },
    askAlone,
    askTogether,
    traffic,
  }
}

type Asking = Pick<QuestionLine, 'askAlone' | 'traffic'> & {
  readonly askTogether: (questions: readonly OpenQuestion[], onEnd?: () => void) => void
}

/** The two forms of a question, and their counts. */
function createAsking(poster: OpaPoster): Asking {
  const counts = { alone: 0, batches: 0, batched: 0, lacksBatches: false }

  const askAlone: QuestionLine['askAlone'] = (path, question, onEnd) => {
    counts.alone += 1
    const sent = poster.post({
      path,
      body: `{"input":${inputText(question.input)}}`,
      traceparent: traceparentOf(question),
      maxAnswerBytes: MAX_ANSWER_BYTES,
      onEnd(end) {
        if (takeAlone(question, end) === 'foreign') sent.distrust()
        onEnd?.()
      },
    })
    question.onExpired = () => sent.abort('deadline')
  }

  const askTogether: Asking['askTogether'] = (questions, onEnd) => {
    counts.batches += 1
    counts.batched += questions.length
    const span = batchSpan(questions)
    const sent = poster.post({
      path: BATCH,
      body: `{"input":{"items":[${questions.map(({ input }) => inputText(input)).join()}]}}`,
      traceparent: formatTraceparent(span?.trace ?? unrecordedTrace()),
      maxAnswerBytes: MAX_ANSWER_BYTES * questions.length,
      onEnd(end) {
        span?.end()
        const taken = takeTogether(questions, end)
        counts.lacksBatches = taken === 'lacking' || (counts.lacksBatches && taken === 'unusable')
        if (taken === 'foreign') sent.distrust()
        if (taken === 'lacking') for (const question of questions) if (question.isOpen()) askAlone(ACCESS, question)
        onEnd?.()
      },
    })
    // It goes on for the others until none is left.
    const onExpired = (): void => {
      if (!questions.some((question) => question.isOpen())) sent.abort('deadline')
    }
    for (const question of questions) question.onExpired = onExpired
  }
  return { askAlone, askTogether, traffic: () => counts }
}

/** Removes the next questions for one POST, and those before them that have no time left. */
function nextInLine(waiting: OpenQuestion[]): OpenQuestion[] {
  const questions: OpenQuestion[] = []
  let taken = 0
  for (const question of waiting) {
    if (questions.length === MAX_ITEMS) break
    taken += 1
    if (question.hasTime()) questions.push(question)
  }
  waiting.splice(0, taken)
  return questions
}

// Without a traceparent that is not sampled, OPA would record a span for a question that no request asked.
function traceparentOf({ trace }: OpenQuestion): string | undefined {
  return trace === null ? undefined : formatTraceparent(trace ?? unrecordedTrace())
}

/** The span of a batch, below the first recorded question; the recorded questions link to it. */
function batchSpan(questions: readonly OpenQuestion[]) {
  const recorded = questions.flatMap(({ trace }) => trace?.recorded ?? [])
  const span = recorded[0]?.startBatch(questions.length)
  if (span !== undefined) for (const { linkTo } of recorded) linkTo(span.trace)
  return span
}

function takeAlone(question: OpenQuestion, end: string | AppError): 'taken' | 'foreign' {
  if (typeof end !== 'string') {
    question.fail(end)
    return 'taken'
  }
  try {
    const body = answerBody(end)
    return question.take(body['result'], bundleRevision(body))
  } catch (cause: unknown) {
    question.fail(wrongAnswer(cause))
    return 'taken'
  }
}

/**
 * Gives each question its own answer. `lacking`: OPA does not know the entry point, and no question is settled. `unusable`:
 * the whole answer says nothing, and all fail. `foreign`: not one of the answers belongs to its question.
 */
function takeTogether(
  questions: readonly OpenQuestion[],
  end: string | AppError,
): 'taken' | 'lacking' | 'unusable' | 'foreign' {
  try {
    if (typeof end !== 'string') throw end
    const body = answerBody(end)
    const results = body['result']
    if (results === undefined) return 'lacking'
    if (!Array.isArray(results)) throw wrongAnswer(new Error('the answer to a batch is not a list'))
    if (results.length !== questions.length) {
      throw wrongAnswer(new Error(`${results.length} answers to a batch of ${questions.length}`))
    }
    const revision = bundleRevision(body)
    const taken = questions.map((question, at) => question.take(results[at], revision))
    return taken.every((one) => one === 'foreign') ? 'foreign' : 'taken'
  } catch (cause: unknown) {
    const error = cause instanceof AppError ? cause : wrongAnswer(cause)
    // OPA's own authorisation may refuse (401), or be undefined for this path (500).
    if (error.cause instanceof OpaStatusError) return 'lacking'
    for (const question of questions) question.fail(error)
    return 'unusable'
  }
}
