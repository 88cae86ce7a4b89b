// On the path of every call. Step 3: pick a live worker and call
// it; try another one only if no byte of the request was sent.
import { SpanKind, SpanStatusCode, type Span, type Tracer } from '@opentelemetry/api'
import type { Dispatcher, Pool } from 'undici'
import type { Capability } from '../../core/capability.ts'
import { AppError } from '../../core/errors.ts'
import type { Outcome } from '../../core/outcome.ts'
import { formatTraceparent } from '../../core/trace-context.ts'
import { onwardTrace, startSpan } from '../../platform/tracing/tracing.ts'
import type { RouteCall, RouteOutcome } from '../call.ts'
import { requestHeaders } from '../dispatch/headers.ts'
import { WorkerExchange, type ExchangeResult } from '../dispatch/worker-exchange.ts'
import type { WorkerInstance } from '../routing/registry.ts'
import { pickProvider } from '../routing/select.ts'

export type ForwardDeps = {
  readonly providers: (capability: Capability) => readonly WorkerInstance[]
  /** True when a manifest names the capability. */
  readonly isKnown: (capability: Capability) => boolean
  readonly poolOf: (worker: WorkerInstance) => Pool
  readonly tracer: Tracer
  readonly monotonic: () => number
  readonly random: () => number
}

const MAX_ATTEMPTS = 3
const MAX_IN_FLIGHT_PER_WORKER = 512
const ANSWER_IDLE_MS = 60_000
const NO_ERRORS: ReadonlySet<string> = new Set()

/** Calls a worker for an allowed call and streams its answer into `call.sink`. Never rejects. */
export function createForward(deps: ForwardDeps): (call: RouteCall) => Promise<RouteOutcome> {
  return async (call) => {
    const start = deps.monotonic()
    const tried = new Set<WorkerInstance>()
    let last: ExchangeResult | undefined
    let worker: WorkerInstance | undefined
    while (tried.size < MAX_ATTEMPTS && !call.sink.hasLeft()) {
      const next = selectWorker(deps, call, tried)
      if (next === undefined) break
      worker = next
      tried.add(worker)
      // Set before the call: a caller that leaves during the call ends the span. The last worker tried counts.
      call.span.setAttribute('crank.worker_id', worker.workerId)
      last = await callWorker(deps, call, worker, start)
      if (last.sent || last.outcome !== 'worker_failed') break
    }
    const { outcome, status, error } = last ?? notSent(deps, call)
    const durationMs = deps.monotonic() - start
    const { firstByteMs } = last ?? {}
    return { outcome, status, error, firstByteMs, workerId: worker?.workerId ?? null, attempts: tried.size, durationMs }
  }
}

function selectWorker(
  { tracer, providers, random }: ForwardDeps,
  call: RouteCall,
  tried: ReadonlySet<WorkerInstance>,
): WorkerInstance | undefined {
  const span = startSpan(tracer, 'worker.select', SpanKind.INTERNAL, call.span)
  const candidates = providers(call.capability)
  const picked = pickProvider(candidates, random, tried)
  // If the less busy of two is at its limit, queueing would only keep the caller's body in memory.
  const worker = picked !== undefined && picked.inFlight < MAX_IN_FLIGHT_PER_WORKER ? picked : undefined
  span.setAttribute('crank.candidates', candidates.length)
  if (worker !== undefined) span.setAttribute('crank.worker_id', worker.workerId)
  span.end()
  return worker
}

async function callWorker(
  { tracer, poolOf, monotonic }: ForwardDeps,
  call: RouteCall,
  worker: WorkerInstance,
  start: number,
): Promise<ExchangeResult> {
  const span = startSpan(tracer, 'POST /execute', SpanKind.CLIENT, call.span)
  worker.inFlight += 1
  const firstByteMs = Math.max(1, Math.round(call.timeoutMs - (monotonic() - start)))
  const trace = onwardTrace(span)
  const traceparent = trace === undefined ? undefined : formatTraceparent(trace)
  const headers = requestHeaders(call, { timeoutMs: firstByteMs, traceparent })
  if (call.contentLength !== undefined) headers.push('content-length', String(call.contentLength))
  const declared = declaredErrors(worker, call.capability)
  try {
    return await new Promise<ExchangeResult>((settle) => {
      const upload = Buffer.isBuffer(call.body) ? undefined : call.body
      const limits = { firstByteMs, idleMs: ANSWER_IDLE_MS, upload, startMs: start, monotonic }
      const settled = (result: ExchangeResult): void => {
        // Here and not after the promise: the caller's answer, and with it the parent span, ends next.
        endExchange(span, worker, result)
        settle(result)
      }
      const exchange = new WorkerExchange(call.sink, worker.workerId, limits, declared, settled)
      poolOf(worker).dispatch({ method: 'POST', path: '/execute', headers, body: sendable(call.body) }, exchange)
    })
  } finally {
    worker.inFlight -= 1
    if (span.isRecording()) span.end()
  }
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

function declaredErrors(worker: WorkerInstance, capability: Capability): ReadonlySet<string> {
  return worker.declaredErrors.get(capability) ?? NO_ERRORS
}

type NotSent = Pick<RouteOutcome, 'outcome' | 'status' | 'error'>

/** Why no worker was called: the caller had left, all workers are at their limit, or there is none. */
function notSent({ isKnown, providers }: ForwardDeps, { sink, capability }: RouteCall): NotSent {
  if (sink.hasLeft()) {
    const isShutdown = sink.goneBy() === 'shutdown'
    const error = isShutdown ? new AppError('shutting_down') : new AppError('worker_failed', 'the caller left')
    return ended(sink.goneBy(), error)
  }
  if (providers(capability).length > 0) return ended('worker_failed', new AppError('overloaded'))
  return ended('worker_failed', new AppError(isKnown(capability) ? 'no_worker_available' : 'capability_unknown'))
}

function ended(outcome: Outcome, error: AppError): NotSent {
  return { outcome, status: error.kind.status, error }
}
