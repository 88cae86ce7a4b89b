// On the path of every call. The first step of a request, before the caller is identified: it gets its ids, its span and its
// place in the metrics.
import { SpanKind, SpanStatusCode, type Attributes, type Span, type Tracer } from '@opentelemetry/api'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { ErrorCode } from '../../core/errors.ts'
import { parseTraceparent, type TraceContext } from '../../core/trace-context.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { HEADERS } from '../../core/wire.ts'
import { timeIn } from '../../platform/tracing/clocked-tracer.ts'
import { keepRandomFlag, startSpan, traceContextOf } from '../../platform/tracing/tracing.ts'
import { peerOf } from '../identity/gate.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { appErrorOf } from './problem.ts'

/** What every request has. */
type Arrival = {
  readonly span: Span
  readonly trace: TraceContext
  /** The caller sent a valid trace context: the trace and `tracestate` are the caller's. */
  readonly continued: boolean
  capability?: string
  error?: ErrorCode
}

declare module 'fastify' {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- only an interface merges
  interface FastifyRequest {
    arrival: Arrival
  }
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- as above
  interface FastifyContextConfig {
    /** For frequent requests, of which only failures are worth a span. Requires `otel: false` too. */
    spanOfFailureOnly?: true
  }
}

export type ArrivalOptions = {
  readonly tracer: Tracer
  readonly metrics: Metrics
  /** The worker that an identity has registered, if any. */
  readonly workerIdOf?: (caller: SpiffeId) => string | undefined
}

const MAX_WORKER_ID_CHARS = 128

/** Fastify plugin: decorates requests with `arrival`; `request.id` is the decision id. */
export const arrival = fp<ArrivalOptions>(
  (app, options, done) => {
    app.decorateRequest('arrival')
    app.addHook('onRequest', (request, reply, next) => {
      const parent = parseTraceparent(parentHeader(request))
      const span = serverSpan(request, options.tracer, parent)
      const trace = traceContextOf(span)
      request.arrival = { span, trace, continued: parent !== undefined }
      void reply.header(HEADERS.decisionId, request.id).header(HEADERS.traceId, trace.traceId)
      let sentAt: number | undefined
      // The caller's span ends with the last byte, which may arrive before `end` returns: 'prefinish' is too late.
      beforeEnd(reply.raw, () => (sentAt ??= timeIn(span)))
      reply.raw.once('close', () => {
        leave(request, reply, { ...options, sentAt })
      })
      next()
    })
    // @fastify/otel later marks its span as failed for any error, but a refusal is an answer; the status OK is final.
    app.addHook('onError', (request, _reply, error, next) => {
      if (appErrorOf(error).kind.status < 500) otelSpan(request)?.setStatus({ code: SpanStatusCode.OK })
      next()
    })
    done()
  },
  { name: 'arrival' },
)

function beforeEnd(raw: FastifyReply['raw'], run: () => void): void {
  const end = raw.end.bind(raw) as (...args: unknown[]) => typeof raw
  raw.end = (...args: unknown[]) => {
    run()
    return end(...args)
  }
}

/** Both forms of a call have the same operation name, to search for; `http.route` distinguishes them. */
const OPERATIONS: Readonly<Partial<Record<string, string>>> = { '/route/:verb/:capability': '/route' }

/** The span of @fastify/otel if there is one (every route except /route, decision 0036), else our own. */
function serverSpan(request: FastifyRequest, tracer: Tracer, parent: TraceContext | undefined): Span {
  const made = otelSpan(request)
  if (made !== null) {
    made.setAttribute('opa.decision_id', request.id)
    return parent === undefined ? made : keepRandomFlag(made, parent)
  }
  const route = request.routeOptions.url ?? 'unknown'
  return startSpan(tracer, `${request.method} ${OPERATIONS[route] ?? route}`, SpanKind.SERVER, parent, {
    'http.request.method': request.method,
    'http.route': route,
    'url.scheme': 'https',
    'opa.decision_id': request.id,
  })
}

function parentHeader(request: FastifyRequest): string | undefined {
  const header = request.headers[HEADERS.traceparent]
  return typeof header === 'string' ? header : undefined
}

type Leaving = Pick<ArrivalOptions, 'metrics' | 'workerIdOf'> & { readonly sentAt: number | undefined }

function leave(request: FastifyRequest, reply: FastifyReply, { metrics, workerIdOf, sentAt }: Leaving): void {
  const { span, error } = request.arrival
  const { url, config } = request.routeOptions
  const status = reply.raw.headersSent ? reply.raw.statusCode : undefined
  metrics.answered({ route: url, status, code: error })
  // The span of @fastify/otel has ended with the answer.
  if (!span.isRecording()) return
  const failsFrom = config.spanOfFailureOnly === true ? 400 : 500
  const failed = status === undefined || status >= failsFrom
  // A span that never ends is never exported.
  if (config.spanOfFailureOnly === true && !failed) return
  if (config.spanOfFailureOnly === true) span.setAttributes(callerOf(request, workerIdOf))
  if (status !== undefined) span.setAttribute('http.response.status_code', status)
  if (failed) {
    if (error !== undefined) span.setAttribute('error.type', error)
    span.setStatus({ code: SpanStatusCode.ERROR })
  }
  span.end(sentAt)
}

/** Who sent a heartbeat or poll: the worker named in the body, else the one that the identity has registered. */
function callerOf(request: FastifyRequest, workerIdOf: ArrivalOptions['workerIdOf']): Attributes {
  const caller = peerOf(request)?.spiffeId
  if (caller === undefined) return {}
  const { worker_id: named } = (request.body ?? {}) as { worker_id?: unknown }
  const workerId = typeof named === 'string' ? named.slice(0, MAX_WORKER_ID_CHARS) : workerIdOf?.(caller)
  return { 'crank.requester': caller, ...(workerId !== undefined && { worker_id: workerId }) }
}

function otelSpan(request: FastifyRequest): Span | null {
  // Despite its types, the decorator exists only if the plugin is registered.
  const { opentelemetry } = request as Partial<Pick<FastifyRequest, 'opentelemetry'>>
  return opentelemetry?.call(request).span ?? null
}
