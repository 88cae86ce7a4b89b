// Tracing: every request has real W3C ids. Without an OTLP endpoint only the export is off, and no SDK is loaded.
import { ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { Attributes, Span, SpanKind, Tracer } from '@opentelemetry/api'
import type { TraceContext } from '../../core/trace-context.ts'
import { createLightTracer, isLightContext } from './light-tracer.ts'
import { otlpEndpoint } from './otel-settings.ts'
import { RANDOM, toSpanContext, toTraceContext } from './span-ids.ts'
import { useAsyncContext } from './span-context.ts'
import type { DirectTracer, Tracing, TracingOptions } from './tracing-port.ts'

/**
 * Sets up tracing from the OTEL_* variables. Never throws: when the SDK cannot use a setting, the error is logged and the
 * process runs without export.
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
  if (isDirect(tracer)) return tracer.spanBelow(parent, name, kind, attributes)
  const options = attributes === undefined ? { kind } : { kind, attributes }
  const span = tracer.startSpan(name, options, parent === undefined ? ROOT_CONTEXT : contextOf(parent))
  return parent === undefined ? span : keepRandomFlag(span, parent)
}

/** The ids of a span, for logs and the audit record. */
export function traceContextOf(span: Span): TraceContext {
  return toTraceContext(span.spanContext())
}

/**
 * The context for the next hop. A process that exports no spans must not name one as the parent: it forwards the incoming
 * context unchanged, and without one the next hop begins the trace (undefined).
 */
export function onwardTrace(span: Span): TraceContext | undefined {
  const own = span.spanContext()
  return isLightContext(own) ? own.incoming : toTraceContext(own)
}

/** Copies the flag "trace id is random" (Trace Context level 2) from `parent` to a span: the SDK keeps only `sampled`. */
export function keepRandomFlag(span: Span, parent: Span | TraceContext): Span {
  const isRandom = 'spanContext' in parent ? (parent.spanContext().traceFlags & RANDOM) !== 0 : parent.random === true
  if (isRandom) span.spanContext().traceFlags |= RANDOM
  return span
}

function isDirect(tracer: Tracer): tracer is DirectTracer {
  return 'spanBelow' in tracer
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
