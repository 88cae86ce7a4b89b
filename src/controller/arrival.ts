// The first thing that happens to a request, before anybody looks at who sent it: it gets its ids, its span and its
// place in the metrics.
import { SpanKind, SpanStatusCode, type Span, type Tracer } from '@opentelemetry/api'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { ErrorCode } from '../core/errors.ts'
import { parseTraceparent, type TraceContext } from '../core/trace-context.ts'
import { HEADERS } from '../core/wire.ts'
import { startSpan, traceContextOf } from '../platform/tracing.ts'
import type { Metrics } from './metrics.ts'
import { appErrorOf } from './problem.ts'

/** What every request has; `decided` turns true when its verdict is recorded, so that refusals are recorded once. */
export type Arrival = {
  readonly span: Span
  readonly trace: TraceContext
  /** The caller sent a trace context that is in order: the trace is the caller's, and so is `tracestate`. */
  readonly continued: boolean
  decided: boolean
  capability?: string
  error?: ErrorCode
}

declare module 'fastify' {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- only an interface merges
  interface FastifyRequest {
    arrival: Arrival
  }
}

export type ArrivalOptions = { readonly tracer: Tracer; readonly metrics: Metrics }

/** Fastify plugin: decorates requests with `arrival`; `request.id` is the decision id. */
export const arrival = fp<ArrivalOptions>(
  (app, { tracer, metrics }, done) => {
    app.decorateRequest('arrival')
    app.addHook('onRequest', (request, reply, next) => {
      const parent = parseTraceparent(parentHeader(request))
      const span = serverSpan(request, tracer, parent)
      const trace = traceContextOf(span)
      request.arrival = { span, trace, continued: parent !== undefined, decided: false }
      void reply.header(HEADERS.decisionId, request.id).header(HEADERS.traceId, trace.traceId)
      reply.raw.once('close', () => {
        leave(request, reply, metrics)
      })
      next()
    })
    // @fastify/otel marks its span for whatever was thrown, later than this; but a refusal is an answer, and OK is final.
    app.addHook('onError', (request, _reply, error, next) => {
      if (appErrorOf(error).kind.status < 500) otelSpan(request)?.setStatus({ code: SpanStatusCode.OK })
      next()
    })
    done()
  },
  { name: 'arrival' },
)

/** The route's own span where @fastify/otel made one (every route but /route, design D12), else one by hand. */
function serverSpan(request: FastifyRequest, tracer: Tracer, parent: TraceContext | undefined): Span {
  const made = otelSpan(request)
  if (made !== null) return made.setAttribute('opa.decision_id', request.id)
  const route = request.routeOptions.url ?? 'unknown'
  return startSpan(tracer, `${request.method} ${route}`, SpanKind.SERVER, parent, {
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

function leave(request: FastifyRequest, reply: FastifyReply, metrics: Metrics): void {
  const { span, error } = request.arrival
  const status = reply.raw.headersSent ? reply.raw.statusCode : undefined
  metrics.answered({ route: request.routeOptions.url, status, code: error })
  // The span of @fastify/otel has ended with the answer.
  if (!span.isRecording()) return
  if (status !== undefined) span.setAttribute('http.response.status_code', status)
  if (status === undefined || status >= 500) {
    if (error !== undefined) span.setAttribute('error.type', error)
    span.setStatus({ code: SpanStatusCode.ERROR })
  }
  span.end()
}

function otelSpan(request: FastifyRequest): Span | null {
  // The decorator exists only where the plugin is registered, whatever its types say.
  const { opentelemetry } = request as Partial<Pick<FastifyRequest, 'opentelemetry'>>
  return opentelemetry?.call(request).span ?? null
}
