// On the path of every call. Step 3: one attempt at one worker, with its span, and what it says about the worker.
import { SpanKind, SpanStatusCode, type Span, type Tracer } from '@opentelemetry/api'
import type { Dispatcher, Pool } from 'undici'
import type { AttemptReason } from '../../core/outcome.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { formatTraceparent } from '../../core/trace-context.ts'
import type { StartTimeout } from '../../platform/timeouts.ts'
import { onwardTrace, startSpan } from '../../platform/tracing/tracing.ts'
import type { RouteCall } from '../call.ts'
import { requestHeaders } from '../dispatch/headers.ts'
import { WorkerExchange, type ExchangeResult } from '../dispatch/worker-exchange.ts'
import type { Offer } from '../routing/offer.ts'
import type { WorkerInstance } from '../routing/registry.ts'
import type { WorkerHealth } from '../routing/worker-health.ts'
import type { SelectWorker } from './select-worker.ts'

export type CallWorkerDeps = {
  readonly select: Pick<SelectWorker, 'giveBack'>
  readonly poolOf: (worker: WorkerInstance) => Pool
  /** The value of x-crank-chain, valid for so many milliseconds. */
  readonly handOn: (call: RouteCall, worker: SpiffeId, validMs: number) => string
  readonly health: Pick<WorkerHealth, 'ended'>
  readonly tracer: Tracer
  readonly monotonic: () => number
  readonly startTimeout: StartTimeout
}

/** `number`: 1 for the first attempt, which has no reason. */
type Attempt = {
  readonly call: RouteCall
  readonly offer: Offer
  readonly body: RouteCall['body']
  readonly number: number
  readonly reason: AttemptReason | undefined
  readonly startMs: number
}

/** `firstByteMs`: from the beginning of the call. */
export type AttemptResult = { readonly result: ExchangeResult; readonly firstByteMs: number | undefined }

const ANSWER_IDLE_MS = 60_000
const STREAM_CHAIN_MS = 3_600_000
const NO_ERRORS: ReadonlySet<string> = new Set()

/** Calls the worker and streams its answer into `call.sink`. Never rejects. `callMs`: when the time of the call began. */
export async function callWorker(deps: CallWorkerDeps, attempt: Attempt, callMs: number): Promise<AttemptResult> {
  const { tracer, poolOf, monotonic, select, handOn, startTimeout } = deps
  const { call, offer, body, startMs: attemptMs } = attempt
  const { worker } = offer
  const span = startSpan(tracer, 'POST /execute', SpanKind.CLIENT, call.span)
  const firstByteMs = Math.max(1, Math.round(call.timeoutMs - (attemptMs - callMs)))
  const trace = onwardTrace(span)
  const traceparent = trace === undefined ? undefined : formatTraceparent(trace)
  const chain = handOn(call, worker.spiffeId, chainMs(call, worker, firstByteMs))
  const headers = requestHeaders(call, { timeoutMs: firstByteMs, traceparent, chain })
  if (call.contentLength !== undefined) headers.push('content-length', String(call.contentLength))
  const declared = worker.declaredErrors.get(call.capability) ?? NO_ERRORS
  try {
    return await new Promise<AttemptResult>((settle) => {
      const upload = Buffer.isBuffer(body) ? undefined : body
      const limits = { firstByteMs, idleMs: ANSWER_IDLE_MS, upload, startTimeout }
      const settled = (result: ExchangeResult): void => {
        // Here and not after the promise: the caller's answer, and with it the parent span, ends next.
        endExchange(span, attempt, result)
        observe(deps, offer, result, { startMs: attemptMs, answeredMs: exchange.answeredMs, nowMs: monotonic() })
        settle({ result, firstByteMs: firstByteOf(exchange, callMs) })
      }
      const exchange = new WorkerExchange(call.sink, worker.workerId, limits, declared, settled)
      poolOf(worker).dispatch({ method: 'POST', path: '/execute', headers, body: sendable(body) }, exchange)
    })
  } finally {
    select.giveBack(offer)
    if (span.isRecording()) span.end()
  }
}

/**
 * How long the worker may call on behalf of this call: until its deadline. The deadline counts from the last part of an upload,
 * and ends with the first event of a stream, so these calls may take longer.
 */
function chainMs({ body, capability }: RouteCall, worker: WorkerInstance, firstByteMs: number): number {
  const isBounded = Buffer.isBuffer(body) && worker.capabilities.get(capability)?.streaming !== true
  return isBounded ? firstByteMs : STREAM_CHAIN_MS
}

/** undici sends any async iterable, but its types accept only Node streams. */
function sendable(body: RouteCall['body']): Exclude<Dispatcher.DispatchOptions['body'], undefined> {
  return body as Exclude<typeof body, AsyncIterable<unknown>>
}

function endExchange(span: Span, { offer, number, reason }: Attempt, { status, outcome, fault }: ExchangeResult): void {
  span.setAttributes({ 'crank.worker_id': offer.worker.workerId, 'http.response.status_code': status })
  if (reason !== undefined) {
    span.setAttributes({ 'http.request.resend_count': number - 1, 'crank.attempt_reason': reason })
  }
  if (fault !== undefined) span.setAttribute('crank.worker_fault', fault)
  if (outcome !== 'completed') span.setStatus({ code: SpanStatusCode.ERROR, message: outcome })
  span.end()
}

type Times = { readonly startMs: number; readonly answeredMs: number | undefined; readonly nowMs: number }

/** What the attempt says about the worker: nothing if the caller ended it, or if the worker did not take the call. */
function observe({ health }: CallWorkerDeps, offer: Offer, result: ExchangeResult, times: Times): void {
  const { outcome, effect, sent, fault } = result
  if (outcome === 'caller_left' || outcome === 'shutdown' || (sent && effect === 'none')) return
  const { startMs, answeredMs, nowMs } = times
  const hasFailed = outcome !== 'completed'
  offer.observe((hasFailed ? nowMs : (answeredMs ?? nowMs)) - startMs, hasFailed, nowMs)
  health.ended(offer, fault, startMs)
}

/** Until the answer began, with the time in which the call waited for a worker, and without that of the caller's upload. */
function firstByteOf({ answeredMs, uploadedMs }: WorkerExchange, startMs: number): number | undefined {
  return answeredMs === undefined ? undefined : answeredMs - (uploadedMs ?? startMs)
}
