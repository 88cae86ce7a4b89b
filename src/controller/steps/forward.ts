// On the path of every call. Step 3: call the selected worker; try
// another one only if no byte of the request was sent, or if it answered that it did not take the call.
import { SpanKind, SpanStatusCode, type Span, type Tracer } from '@opentelemetry/api'
import type { Dispatcher, Pool } from 'undici'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { formatTraceparent } from '../../core/trace-context.ts'
import { onwardTrace, startSpan } from '../../platform/tracing/tracing.ts'
import type { RouteCall, RouteOutcome } from '../call.ts'
import { requestHeaders } from '../dispatch/headers.ts'
import { WorkerExchange, type ExchangeResult } from '../dispatch/worker-exchange.ts'
import { MAX_BUSY_S, Offer } from '../routing/offer.ts'
import type { WorkerInstance } from '../routing/registry.ts'
import type { NotSelected, SelectWorker } from './select-worker.ts'

export type ForwardDeps = {
  readonly select: SelectWorker
  readonly poolOf: (worker: WorkerInstance) => Pool
  /** The value of x-crank-chain, valid for so many milliseconds. */
  readonly handOn: (call: RouteCall, worker: SpiffeId, validMs: number) => string
  readonly tracer: Tracer
  readonly monotonic: () => number
}

const MAX_ATTEMPTS = 3
/** A BUSY costs a worker little, and closes it for other calls too. */
const MAX_BUSY_ANSWERS = 8
const ANSWER_IDLE_MS = 60_000
const STREAM_CHAIN_MS = 3_600_000
const NO_ERRORS: ReadonlySet<string> = new Set()

/** `body`: what the next attempt sends. */
type Attempts = { tried: Set<WorkerInstance> | undefined; count: number; busy: number; body: RouteCall['body'] }
type Last = {
  readonly worker: WorkerInstance
  readonly result: ExchangeResult
  readonly firstByteMs: number | undefined
}

/** Calls a worker for an allowed call and streams its answer into `call.sink`. Never rejects. */
export function createForward(deps: ForwardDeps): (call: RouteCall) => Promise<RouteOutcome> {
  const { select, monotonic } = deps
  return async (call) => {
    const start = monotonic()
    const attempts: Attempts = { tried: undefined, count: 0, busy: 0, body: call.body }
    let last: Last | undefined
    for (;;) {
      const picked = select.pick(call, attempts.tried, start)
      // Only a call that has to wait for its turn waits here.
      const offer = picked instanceof Promise ? await picked : picked
      if (!(offer instanceof Offer)) return notSent(offer, last, attempts, monotonic() - start)
      attempts.count += 1
      // Set before the call: a caller that leaves during the call ends the span. The last worker tried counts.
      call.span.setAttribute('crank.worker_id', offer.worker.workerId)
      last = await callWorker(deps, { call, offer, body: attempts.body }, start)
      if (!mayTryAnother(select, offer, last.result, attempts)) {
        return outcomeOf(last.result, last, attempts, monotonic() - start)
      }
    }
  }
}

/** Whether the call is still untouched: no byte was sent, or the worker answered BUSY to a body that can be sent again. */
function mayTryAnother(select: SelectWorker, offer: Offer, result: ExchangeResult, attempts: Attempts): boolean {
  if (result.error?.code === 'worker_busy') {
    select.busy(offer, result.error.retryAfterS)
    attempts.busy += 1
    const body = Buffer.isBuffer(attempts.body) ? attempts.body : attempts.body.whole()
    if (body === undefined || attempts.busy >= MAX_BUSY_ANSWERS) return false
    attempts.body = body
    return true
  }
  if (result.sent || result.outcome !== 'worker_failed') return false
  attempts.tried = (attempts.tried ?? new Set()).add(offer.worker)
  return attempts.tried.size < MAX_ATTEMPTS
}

function notSent(refusal: NotSelected, last: Last | undefined, attempts: Attempts, durationMs: number): RouteOutcome {
  const result = last !== undefined && saysMore(last.result, refusal) ? last.result : refusal
  return outcomeOf(result, last, attempts, durationMs)
}

/** Whether the last attempt says more than that there is no further worker: it names the worker, and how long it is busy. */
function saysMore({ error }: ExchangeResult, { cause, error: refusal }: NotSelected): boolean {
  if (cause === 'none' || cause === 'gone') return true
  if (cause !== 'busy' || error?.code !== 'worker_busy') return false
  // Otherwise another worker opens earlier.
  return (refusal.retryAfterS ?? 0) >= Math.min(error.retryAfterS ?? 0, MAX_BUSY_S)
}

function outcomeOf(
  { outcome, status, error, effect }: Pick<ExchangeResult, 'outcome' | 'status' | 'error' | 'effect'>,
  last: Last | undefined,
  { count }: Attempts,
  durationMs: number,
): RouteOutcome {
  const { firstByteMs } = last ?? {}
  const workerId = last?.worker.workerId ?? null
  return { outcome, status, error, effect, firstByteMs, workerId, attempts: count, durationMs }
}

type Attempt = { readonly call: RouteCall; readonly offer: Offer; readonly body: RouteCall['body'] }

async function callWorker(
  { tracer, poolOf, monotonic, select, handOn }: ForwardDeps,
  { call, offer, body }: Attempt,
  start: number,
): Promise<Last> {
  const { worker } = offer
  const span = startSpan(tracer, 'POST /execute', SpanKind.CLIENT, call.span)
  const attemptMs = monotonic()
  const firstByteMs = Math.max(1, Math.round(call.timeoutMs - (attemptMs - start)))
  const trace = onwardTrace(span)
  const traceparent = trace === undefined ? undefined : formatTraceparent(trace)
  const chain = handOn(call, worker.spiffeId, chainMs(call, worker, firstByteMs))
  const headers = requestHeaders(call, { timeoutMs: firstByteMs, traceparent, chain })
  if (call.contentLength !== undefined) headers.push('content-length', String(call.contentLength))
  const declared = worker.declaredErrors.get(call.capability) ?? NO_ERRORS
  try {
    return await new Promise<Last>((settle) => {
      const upload = Buffer.isBuffer(body) ? undefined : body
      const limits = { firstByteMs, idleMs: ANSWER_IDLE_MS, upload }
      const settled = (result: ExchangeResult): void => {
        // Here and not after the promise: the caller's answer, and with it the parent span, ends next.
        endExchange(span, worker, result)
        observe(offer, result, { startMs: attemptMs, answeredMs: exchange.answeredMs, nowMs: monotonic() })
        settle({ worker, result, firstByteMs: firstByteOf(exchange, start) })
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

function endExchange(span: Span, { workerId }: WorkerInstance, { status, outcome }: ExchangeResult): void {
  span.setAttributes({ 'crank.worker_id': workerId, 'http.response.status_code': status })
  if (outcome !== 'completed') span.setStatus({ code: SpanStatusCode.ERROR, message: outcome })
  span.end()
}

/** Until the answer began, with the time in which the call waited for a worker, and without that of the caller's upload. */
function firstByteOf({ answeredMs, uploadedMs }: WorkerExchange, startMs: number): number | undefined {
  return answeredMs === undefined ? undefined : answeredMs - (uploadedMs ?? startMs)
}

type Times = { readonly startMs: number; readonly answeredMs: number | undefined; readonly nowMs: number }

/** What the attempt says about the worker: nothing if the caller ended it, or if the worker did not take the call. */
function observe(offer: Offer, { outcome, error }: ExchangeResult, { startMs, answeredMs, nowMs }: Times): void {
  if (outcome === 'caller_left' || outcome === 'shutdown' || error?.code === 'worker_busy') return
  const hasFailed = outcome !== 'completed'
  offer.observe((hasFailed ? nowMs : (answeredMs ?? nowMs)) - startMs, hasFailed, nowMs)
}
