// Sends one request to the controllers of a mesh until one of them answers. What may have been executed is sent again only if
// that is safe.
import { setTimeout as delay } from 'node:timers/promises'
import { errors, type Dispatcher } from 'undici'
import { attempt, type AttemptResult } from './attempt.ts'
import { closes, type Controller, type Endpoint } from './endpoint.ts'
import type { Endpoints, Preference } from './endpoints.ts'
import { whyOf } from './failure-reason.ts'
import { isInProgress, isUnfit, knowsNoWorker, readRefusal, type Answer, type ReadAnswer } from './refusals.ts'

export type Call = {
  /** For each attempt. `leftMs`: of the time limit; undefined for the first attempt. */
  readonly requestFor: (leftMs: number | undefined) => Omit<Dispatcher.RequestOptions, 'signal'>
  /** Time for all attempts, in milliseconds: no attempt begins after it. */
  readonly limitMs: number
  /** It may be sent again after it may have been executed. */
  readonly isRepeatable: boolean
  readonly preference: Preference
  readonly signal: AbortSignal | undefined
}

export type Answered = { readonly answer: Answer; readonly controller: Controller }

/** No controller has answered. `message` names each with the reason. */
export class ControllersUnreachableError extends Error {
  override readonly name = 'ControllersUnreachableError'
}

/** `isPatient`: wait for a connection as long as connecting takes. */
type Turn = { readonly endpoint: Endpoint; readonly isPatient: boolean }

/** The state of one call over all attempts. `refusal`: the last answer that made another controller be asked. */
type Course = {
  readonly queue: Turn[]
  readonly asked: Set<Endpoint>
  readonly faults: Map<string, Error>
  refusal: Answered | undefined
  /** An attempt may have been executed. */
  isUnclear: boolean
  isOver: boolean
  /** A controller was silent, none of them said no: it may answer later. */
  isSilent: boolean
  count: number
}

/** How long a controller gets for a connection while there is another one to ask. */
const PATIENCE_MS = 1000
/** Between two questions for the answer of an attempt that still runs; the controller says one second. */
const IN_PROGRESS_MS = 1000

/** Before silent controllers are asked once more. */
const ASK_AGAIN_MS = 500

const NOT_REPEATED = 'it may have been executed, and without an idempotency key it is not sent again'

/** @throws {ControllersUnreachableError}, with one controller its own error, or the reason of `call.signal` */
export async function failOver(
  endpoints: Endpoints,
  call: Call,
  { monotonic }: { readonly monotonic: () => number },
): Promise<Answered> {
  const endMs = monotonic() + call.limitMs
  const course = newCourse(await endpoints.inOrder(call.preference, call.signal))
  for (;;) {
    if (course.queue.length === 0) await addResolved(endpoints, course, call)
    if (course.queue.length === 0) await askAgain(course, call, endMs - monotonic())
    const turn = course.queue.shift()
    const leftMs = endMs - monotonic()
    if (turn === undefined || leftMs <= 0) break
    const answered = await take(turn, course, call, leftMs)
    if (answered !== undefined) return answered
    if (call.signal?.aborted === true) throw call.signal.reason
    if (course.isOver) break
  }
  if (course.refusal !== undefined) return course.refusal
  throw failureOf(course, endpoints)
}

function newCourse(order: readonly Endpoint[]): Course {
  const queue = order.map((endpoint) => ({ endpoint, isPatient: false }))
  const nothing = { refusal: undefined, isUnclear: false, isOver: false, isSilent: false, count: 0 }
  return { queue, asked: new Set(order), faults: new Map(), ...nothing }
}

/** All were asked in vain: perhaps a name has another address by now. */
async function addResolved(endpoints: Endpoints, { queue, asked, refusal }: Course, { signal }: Call): Promise<void> {
  if (refusal !== undefined) return
  for (const endpoint of await endpoints.resolvedAgain(signal)) {
    if (!asked.has(endpoint)) queue.push({ endpoint, isPatient: false })
    asked.add(endpoint)
  }
}

/** All were asked in vain, and at least one of them was only silent: the call has time, so they are asked once more. */
async function askAgain(course: Course, { signal }: Call, leftMs: number): Promise<void> {
  if (!course.isSilent || course.refusal !== undefined || leftMs < 2 * ASK_AGAIN_MS) return
  course.isSilent = false
  await delay(ASK_AGAIN_MS, undefined, { ...(signal !== undefined && { signal }) }).catch(() => undefined)
  for (const endpoint of course.asked) course.queue.push({ endpoint, isPatient: true })
}

/** One attempt. Returns the answer if it is the call's; else `course` says how to go on. */
async function take(turn: Turn, course: Course, call: Call, leftMs: number): Promise<Answered | undefined> {
  const { endpoint } = turn
  const isPatient = turn.isPatient || course.queue.length === 0
  const isWatched = course.asked.size > 1
  const request = call.requestFor(course.count === 0 ? undefined : leftMs)
  course.count += 1
  const { signal, isRepeatable } = call
  const result = await attempt(endpoint, request, {
    signal,
    patienceMs: isPatient ? undefined : PATIENCE_MS,
    isRepeatable,
    isWatched,
  })
  if (result.kind === 'failed') {
    if (saysNothing(result.error)) throw result.error
    if (signal?.aborted !== true) noteFailure(result, endpoint, course, call)
    return undefined
  }
  if (isWatched && closes(result.answer.headers)) void endpoint.look()
  try {
    const read = await readRefusal(result.answer)
    const answered = { answer: read.answer, controller: endpoint.controller }
    if (!(await goesOn(read, endpoint, course, call))) return answered
    course.refusal = answered
  } catch (error: unknown) {
    noteFailure(
      { kind: 'failed', sent: true, isSlow: false, isSilent: false, error: error as Error },
      endpoint,
      course,
      call,
    )
  }
  return undefined
}

function noteFailure(
  { sent, isSlow, isSilent, error }: AttemptResult & { kind: 'failed' },
  endpoint: Endpoint,
  course: Course,
  { isRepeatable }: Call,
): void {
  course.faults.set(endpoint.controller.name, error)
  // While all its connections are busy, a wait for one of them says nothing against the controller.
  if (course.asked.size > 1 && !(isSlow && endpoint.isConnected())) endpoint.failed(whyOf(error))
  course.isSilent ||= isSilent
  if (isSlow) course.queue.push({ endpoint, isPatient: true })
  if (!sent) return
  course.isUnclear = true
  if (!isRepeatable) course.isOver = true
}

/** The request is malformed, or this process has closed its client: no controller is to blame. */
function saysNothing(error: Error): boolean {
  return [errors.InvalidArgumentError, errors.ClientDestroyedError].some((kind) => error instanceof kind)
}

/** Whether another controller is asked after this answer, or this one again. */
async function goesOn(read: ReadAnswer, endpoint: Endpoint, course: Course, { signal }: Call): Promise<boolean> {
  if (isUnfit(read)) {
    if (course.asked.size > 1) endpoint.failed(`it answers 503 ${read.code}`)
    return true
  }
  endpoint.health.answered()
  if (knowsNoWorker(read)) return true
  // An earlier attempt of this call has the key and still runs: its answer is the answer of the call.
  if (!course.isUnclear || !isInProgress(read)) return false
  await delay(IN_PROGRESS_MS, undefined, { ...(signal !== undefined && { signal }) }).catch(() => undefined)
  course.queue.unshift({ endpoint, isPatient: true })
  return true
}

function failureOf({ faults, asked, isOver, isUnclear }: Course, endpoints: Endpoints): Error {
  const nameless = endpoints.nameless().map(({ url, error }) => [url, error] as const)
  const reasons = [...faults, ...nameless]
  const [first] = reasons
  // With one controller, its own error says everything.
  if (first !== undefined && reasons.length === 1 && asked.size <= 1) return first[1]
  const texts = reasons.map(([name, error]) => `${name}: ${whyOf(error)}`)
  const why = isOver && isUnclear ? `; ${NOT_REPEATED}` : ''
  const cause = new AggregateError(reasons.map(([, error]) => error))
  return new ControllersUnreachableError(`no controller has answered: ${texts.join('; ')}${why}`, { cause })
}
