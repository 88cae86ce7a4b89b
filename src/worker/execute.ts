// One call from headers to answer, without a web framework: find, admit, read, check, run, check, answer.
import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { SpanKind, SpanStatusCode, type Span } from '@opentelemetry/api'
import type { Logger } from '../platform/logger.ts'
import { timeIn } from '../platform/tracing/clocked-tracer.ts'
import { startSpan } from '../platform/tracing/tracing.ts'
import type { Tracing } from '../platform/tracing/tracing-port.ts'
import { failureAnswer, jsonAnswer, toFailure, type Answer, type Failure } from './answer.ts'
import { RuntimeError } from './call-error.ts'
import { idsIn, parseCallHeaders, type CallHeaders } from './call-headers.ts'
import { createCallScope, type CallScope } from './call-scope.ts'
import { ByteOutput, type ByteAnswer, type CapabilityDefinition, type WorkerDefinition } from './define.ts'
import { openEventStream } from './event-stream.ts'
import type { StreamEvent } from './stream-event.ts'
import type { Handler } from './handler.ts'
import { readInput } from './input.ts'
import { onlyRequired, type AnyInvoke, type InvokingCall } from './invoke.ts'
import { activeIn, createInSpan, eventsIn } from './span-scope.ts'
import { createSchemaCheck, type SchemaCheck } from './schema-check.ts'
import type { Slots } from './slots.ts'

/** `callerLeft` aborts when the connection closes before the answer is complete. */
type Call = {
  readonly headers: IncomingHttpHeaders
  readonly body: Readable
  readonly callerLeft: AbortSignal
}
/** Never rejects: every failure becomes an answer. */
export type Execute = (call: Call) => Promise<Answer>

export type ExecuteOptions = {
  readonly definition: WorkerDefinition
  /** The full worker id, with the instance. */
  readonly workerId: string
  readonly log: Logger
  readonly tracing: Tracing
  readonly slots: Slots
  readonly invokeFor: (call: InvokingCall) => AnyInvoke
  /** Aborts when running calls must end. */
  readonly stopped: AbortSignal
  readonly maxInputBytes?: number
  readonly heartbeatMs?: number
  readonly firstEventMs?: number
}

type Entry = {
  readonly definition: CapabilityDefinition
  readonly checkInput: SchemaCheck
  readonly checkOutput: SchemaCheck
}
/** `release` frees the slot. */
type Admitted = { readonly entry: Entry; readonly headers: CallHeaders; readonly release: () => void }
/** One admitted call. `release` frees its slot when the handler has really ended. */
type Run = {
  entry: Entry
  headers: CallHeaders
  span: Span
  scope: CallScope
  log: Logger
  body: Readable
  release: () => void
}

const MAX_INPUT_BYTES = 16 * 1024 * 1024
const HEARTBEAT_MS = 15_000
const FIRST_EVENT_MS = 1_000

export function createExecute(options: ExecuteOptions): Execute {
  const { definition, log, workerId } = options
  const entries = new Map<string, Entry>(definition.capabilities.map((entry) => [entry.capability, compile(entry)]))

  return async (call) => {
    let entry: Entry | undefined
    try {
      const headers = parseCallHeaders(call.headers)
      entry = entries.get(headers.capability)
      if (entry === undefined)
        throw new RuntimeError('CAPABILITY_UNKNOWN', `${workerId} does not offer this capability`)
      const release = options.slots.take(entry.definition)
      if (release === undefined) throw new RuntimeError('BUSY', `${headers.capability} is at its limit of calls`)
      return await answer(begin(options, call, { entry, headers, release }))
    } catch (error: unknown) {
      const failure = toFailure(error, entry?.definition)
      const ids = idsIn(call.headers)
      log.warn({ event: 'call_refused', ...ids, error: failure.body.error, err: failure.cause }, 'call refused')
      return failureAnswer(failure)
    }
  }

  async function answer(run: Run): Promise<Answer> {
    try {
      const result = await Promise.race([handle(options, run), run.scope.ended])
      run.scope.liftDeadline()
      if (result.body instanceof Readable) endWith(result.body, run)
      else end(run)
      return result
    } catch (error: unknown) {
      const failure = toFailure(error, run.entry.definition)
      end(run, failure)
      return failureAnswer(failure)
    }
  }
}

function begin(options: ExecuteOptions, call: Call, { entry, headers, release }: Admitted): Run {
  const { log, tracing, workerId, stopped } = options
  const { capability } = entry.definition
  const span = startSpan(tracing.tracer, 'worker_execute', SpanKind.SERVER, headers.trace, {
    worker_id: workerId,
    'crank.worker_id': workerId,
    'crank.capability': capability,
    'crank.requester': headers.caller,
    'opa.decision_id': headers.decisionId,
  })
  const scope = createCallScope({ ...call, deadlineMs: headers.deadlineMs, stopped })
  const fields = { capability, caller: headers.caller, decision_id: headers.decisionId }
  return { entry, headers, span, scope, log: log.child(fields), body: call.body, release }
}

/** Keeps the slot until the handler ends, even if the call ended earlier. */
async function handle(options: ExecuteOptions, run: Run): Promise<Answer> {
  let held = false
  try {
    const { entry, scope } = run
    const input = await readInput({
      definition: entry.definition,
      check: entry.checkInput,
      contentType: run.headers.contentType,
      body: run.body,
      maxBytes: options.maxInputBytes ?? MAX_INPUT_BYTES,
    })
    const result = await activeIn(run.span, () => entry.definition.handler(contextOf(options, run, input)))
    const answer = await toAnswer(options, run, result)
    if (answer.body instanceof Readable) {
      held = true
      answer.body.once('close', run.release)
      if (scope.signal.aborted) answer.body.destroy()
    }
    return answer
  } finally {
    if (!held) run.release()
  }
}

function contextOf(options: ExecuteOptions, run: Run, input: unknown): Parameters<Handler>[0] {
  const { definition, invokeFor, tracing } = options
  const { entry, span, log } = run
  const { signal } = run.scope
  const { caller, decisionId, idempotencyKey, lastEventId, tracestate, chain } = run.headers
  return {
    input,
    caller,
    signal,
    invoke: onlyRequired(invokeFor({ span, signal, tracestate, chain }), {
      handlerOf: entry.definition.capability,
      requires: definition.requires,
    }),
    log,
    span,
    inSpan: createInSpan(tracing.tracer, span),
    decisionId,
    idempotencyKey,
    lastEventId,
  }
}

function toAnswer(options: ExecuteOptions, run: Run, result: unknown): Answer | Promise<Answer> {
  const { definition, checkOutput } = run.entry
  if (definition.schema.streaming === true) return eventAnswer(options, run, result as AsyncIterable<StreamEvent>)
  if (definition.output === ByteOutput) return byteAnswer(run, result as ByteAnswer)
  // A handler without a result answers `null`: undefined has no JSON form.
  const value = result ?? null
  assertOutput(checkOutput, value)
  return jsonAnswer(200, value)
}

async function eventAnswer(options: ExecuteOptions, run: Run, events: AsyncIterable<StreamEvent>): Promise<Answer> {
  const body = await openEventStream({
    events: eventsIn(run.span, events),
    ended: run.scope.ended,
    heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
    firstEventMs: options.firstEventMs ?? FIRST_EVENT_MS,
    check: ({ data }) => assertOutput(run.entry.checkOutput, data),
    toErrorEvent: (error) => {
      const failure = toFailure(error, run.entry.definition)
      report(run, failure)
      return { event: 'error', data: failure.body }
    },
  })
  return { status: 200, headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }, body }
}

function compile(definition: CapabilityDefinition): Entry {
  const { input_schema, output_schema } = definition.schema
  const checkInput = createSchemaCheck(input_schema, 'input')
  return { definition, checkInput, checkOutput: createSchemaCheck(output_schema, 'output') }
}

function assertOutput(check: SchemaCheck, value: unknown): void {
  const fault = check(value)
  if (fault === undefined) return
  // The details go to the log: the caller cannot fix the fault, and they may quote data.
  throw new RuntimeError('OUTPUT_INVALID', 'the answer of the worker does not fit its output schema', {
    cause: new Error(fault),
  })
}

function byteAnswer({ scope }: Run, { contentType, body, status = 200 }: ByteAnswer): Answer {
  if (body instanceof Readable) scope.ended.catch((reason: unknown) => body.destroy(reason as Error))
  return { status, headers: { 'content-type': contentType }, body }
}

// The controller's span ends with the last byte: after `end`, and often before `close`.
function endWith(body: Readable, run: Run): void {
  let sentAt: number | undefined
  body.once('end', () => (sentAt = timeIn(run.span)))
  body.once('close', () => {
    complete(run, sentAt)
  })
}

function end(run: Run, failure?: Failure): void {
  if (failure === undefined) {
    complete(run)
    return
  }
  report(run, failure)
  run.span.end()
  run.scope.close()
}

function complete(run: Run, at?: number): void {
  activeIn(run.span, () => run.log.debug({ event: 'call_completed' }, 'call completed'))
  run.span.end(at)
  run.scope.close()
}

// A declared refusal is an ordinary answer; only 5xx is a fault of the worker.
function report({ span, log }: Run, { status, body, cause }: Failure): void {
  span.setAttribute('error.type', body.error)
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR, message: body.error })
  const level = cause === undefined ? 'info' : 'error'
  activeIn(span, () => log[level]({ event: 'call_failed', status, error: body.error, err: cause }, 'call failed'))
}
