// Traces: every request has real W3C ids. Without an OTLP endpoint only the export is off, and no SDK is loaded.
import type { FastifyOtelInstrumentation } from '@fastify/otel'
import { ROOT_CONTEXT, trace, TraceFlags } from '@opentelemetry/api'
import type { Attributes, Span, SpanContext, SpanKind, Tracer } from '@opentelemetry/api'
import type { TraceContext } from '../core/trace-context.ts'
import { createLightTracer, isLightTracer } from './light-tracer.ts'
import { otlpEndpoint } from './otel-settings.ts'
import { useAsyncContext } from './span-context.ts'

/** `shutdown` sends what is waiting, takes no longer than it may and never rejects. `fastifyOtel` is there only while exporting. */
export type Tracing = {
  readonly tracer: Tracer
  readonly exporting: boolean
  readonly endpoint: string | undefined
  readonly fastifyOtel?: FastifyOtelInstrumentation
  shutdown(): Promise<void>
}

/** As much of a pino logger as is used here. */
export type TracingLog = Record<'debug' | 'warn' | 'error', (fields: object, message: string) => void>

/** `service` is the service name unless OTEL_SERVICE_NAME gives another; `shutdownMs`: the longest wait at the end, 3 s if left out. */
export type TracingOptions = {
  service: string
  version: string
  env: NodeJS.ProcessEnv
  log: TracingLog
  shutdownMs?: number
}

/**
 * Sets tracing up from the OTEL_* variables. Never throws: a setting that the SDK cannot use is logged and leaves the
 * process without export.
 */
export async function createTracing(options: TracingOptions): Promise<Tracing> {
  useAsyncContext()
  const endpoint = otlpEndpoint(options.env)
  if (endpoint === undefined) return withoutExport()
  try {
    const { createExportingTracing } = await import('./tracing-export.ts')
    return createExportingTracing({ ...options, endpoint })
  } catch (error: unknown) {
    options.log.error({ event: 'tracing_unavailable', endpoint, err: error }, 'spans are not exported')
    return withoutExport()
  }
}

/** Starts a span below `parent` (a span of ours, or the caller's `traceparent`); without one a new trace begins. */
export function startSpan(
  tracer: Tracer,
  name: string,
  kind: SpanKind,
  parent: Span | TraceContext | undefined,
  attributes?: Attributes,
): Span {
  if (isLightTracer(tracer)) return tracer.spanBelow(parent === undefined ? undefined : spanContextOf(parent))
  const options = attributes === undefined ? { kind } : { kind, attributes }
  return tracer.startSpan(name, options, parent === undefined ? ROOT_CONTEXT : contextOf(parent))
}

/** The ids of a span, as they go into `traceparent`, logs and the audit record. */
export function traceContextOf(span: Span): TraceContext {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 }
}

function contextOf(parent: Span | TraceContext): typeof ROOT_CONTEXT {
  return 'spanContext' in parent
    ? trace.setSpan(ROOT_CONTEXT, parent)
    : trace.setSpanContext(ROOT_CONTEXT, remoteContext(parent))
}

function spanContextOf(parent: Span | TraceContext): SpanContext {
  return 'spanContext' in parent ? parent.spanContext() : remoteContext(parent)
}

function remoteContext({ traceId, spanId, sampled }: TraceContext): SpanContext {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true }
}

function withoutExport(): Tracing {
  return { tracer: createLightTracer(), exporting: false, endpoint: undefined, shutdown: () => Promise.resolve() }
}
