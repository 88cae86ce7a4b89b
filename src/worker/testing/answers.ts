// The fake controller's answers to the `invoke` of a worker: a table from the test, in the forms of the real
// controller.
import type { ServerResponse } from 'node:http'
import { parseIdempotencyKey } from '../../core/idempotency-key.ts'
import { HEADERS } from '../../core/wire.ts'
import { formatEvent } from '../sse.ts'
import type { StreamEvent } from '../stream-event.ts'
import { answerJson, type Received, type Script } from './fake-controller.ts'

/** One call that a worker made. `capability` is `verb:name`. */
export type Invoked = {
  readonly capability: string
  readonly payload: unknown
  readonly idempotencyKey: string | undefined
  readonly lastEventId: string | undefined
}

/**
 * A value per capability, or a function that returns it for a call. The value is the JSON answer; an async iterable of
 * events (`{ data }`) is the answer of a streaming capability; `refusal(…)` is a failed call.
 */
export type TestAnswers = Readonly<Record<string, unknown>>

/** An answer that the worker receives as an InvokeError. */
export type Refusal = { readonly status: number; readonly code: string; readonly reason: string }

const refusals = new WeakSet<object>()

/** An answer that refuses the call, such as `refusal(403, 'capability_access_denied', 'policy says no')`. */
export function refusal(status: number, code: string, reason: string): Refusal {
  const made = { status, code, reason }
  refusals.add(made)
  return made
}

/** Answers `POST /route/<verb>/<name>` from the table, and records each call in `invoked`. */
export function createAnswers(answers: TestAnswers, invoked: Invoked[]): Script {
  return (received, response) => {
    const call = readCall(received)
    invoked.push(call)
    void give(call, answers, response)
  }
}

async function give(call: Invoked, answers: TestAnswers, response: ServerResponse): Promise<void> {
  try {
    const value = await valueOf(call, answers)
    if (isRefusal(value)) problem(response, value)
    else if (isEvents(value)) await stream(response, value)
    else answerJson(response, 200, value ?? null)
  } catch (cause: unknown) {
    const reason = `the answer of the test to ${call.capability} failed: ${String(cause)}`
    if (response.headersSent) response.destroy()
    else problem(response, { status: 502, code: 'worker_failed', reason })
  }
}

async function valueOf(call: Invoked, answers: TestAnswers): Promise<unknown> {
  if (!Object.hasOwn(answers, call.capability)) {
    const reason = `this test has no answer for ${call.capability}: add it to the answers of startTestController`
    return refusal(404, 'capability_unknown', reason)
  }
  const answer = answers[call.capability]
  return typeof answer === 'function' ? ((await Reflect.apply(answer, undefined, [call])) as unknown) : answer
}

function readCall({ path, headers, body }: Received): Invoked {
  const [verb = '', name = ''] = path.replace('/route/', '').split('/').map(decodeURIComponent)
  const one = (header: string): string | undefined => [headers[header]].flat()[0]
  const [key, lastEventId] = [HEADERS.idempotencyKey, HEADERS.lastEventId].map(one)
  const idempotencyKey = key === undefined ? undefined : parseIdempotencyKey(key)
  return { capability: `${verb}:${name}`, payload: body, idempotencyKey, lastEventId }
}

function problem(response: ServerResponse, { status, code, reason }: Refusal): void {
  answerJson(response, status, { error: code, reason, status })
}

async function stream(response: ServerResponse, events: AsyncIterable<StreamEvent>): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for await (const event of events) response.write(formatEvent(event))
  response.end()
}

function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && refusals.has(value)
}

function isEvents(value: unknown): value is AsyncIterable<StreamEvent> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
