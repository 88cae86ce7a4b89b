// Traces: every request has real W3C ids. Without an OTLP endpoint only the export is off, and no SDK is loaded.
import { ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { Attributes, Span, SpanKind, Tracer } from '@opentelemetry/api'
import type { TraceContext } from '../../core/trace-context.ts'
import { createLightTracer, isLightContext, isLightTracer } from './light-tracer.ts'
import { otlpEndpoint } from './otel-settings.ts'
import { RANDOM, toSpanContext, toTraceContext } from './span-ids.ts'
import { useAsyncContext } from './span-context.ts'
import type { Tracing, TracingOptions } from './tracing-port.ts'

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
  if (isLightTracer(tracer)) return tracer.spanBelow(parent)
  const options = attributes === undefined ? { kind } : { kind, attributes }
  const span = tracer.startSpan(name, options, parent === undefined ? ROOT_CONTEXT : contextOf(parent))
  return parent === undefined ? span : keepRandomFlag(span, parent)
}

/** The ids of a span, as they go into logs and the audit record. */
export function traceContextOf(span: Span): TraceContext {
  return toTraceContext(span.spanContext())
}

/**
 * The context for the next hop. A process that exports no spans names none of them as a parent: what came in goes on
 * unchanged, and where nothing came in the next hop begins the trace (undefined).
 */
export function onwardTrace(span: Span): TraceContext | undefined {
  const own = span.spanContext()
  return isLightContext(own) ? own.incoming : toTraceContext(own)
}

/** Marks a span as of a trace whose id is random (Trace Context level 2), if `parent` is: the SDK knows only `sampled`. */
export function keepRandomFlag(span: Span, parent: Span | TraceContext): Span {
  const isRandom = 'spanContext' in parent ? (parent.spanContext().traceFlags & RANDOM) !== 0 : parent.random === true
  if (isRandom) span.spanContext().traceFlags |= RANDOM
  return span
}

function contextOf(parent: Span | TraceContext): typeof ROOT_CONTEXT {
  return 'spanContext' in parent
    ? trace.setSpan(ROOT_CONTEXT, parent)
    : trace.setSpanContext(ROOT_CONTEXT, toSpanContext(parent))
}

function withoutExport(): Tracing {
  return {
    tracer: createLightTracer(),
    exporting: false,
    isDelivering: () => false,
    endpoint: undefined,
    shutdown: () => Promise.resolve(),
  }
}
