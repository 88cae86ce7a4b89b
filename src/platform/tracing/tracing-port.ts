// The interface of tracing, with or without export.
import type { Attributes, Span, SpanKind, Tracer, TracerProvider } from '@opentelemetry/api'
import type { TraceContext } from '../../core/trace-context.ts'

/** For the hot path: needs only the parent (a span of ours, or the caller's `traceparent`), and no context. */
export type SpanBelow = (
  parent: Span | TraceContext | undefined,
  name: string,
  kind: SpanKind,
  attributes?: Attributes,
) => Span
export type DirectTracer = Tracer & { readonly spanBelow: SpanBelow }

/** `shutdown` sends the waiting spans, within a time limit, and never rejects. `provider`: for instrumentations, if exporting. */
export type Tracing = {
  readonly tracer: Tracer
  readonly exporting: boolean
  /** Spans are exported, and the collector accepts them. */
  readonly isDelivering: () => boolean
  readonly endpoint: string | undefined
  readonly provider?: TracerProvider
  shutdown(): Promise<void>
}

/** The part of a pino logger that tracing uses. */
export type TracingLog = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>

/**
 * `service`: the service name, unless OTEL_SERVICE_NAME overrides it. `shutdownMs`: the longest wait at the end, default 3 s.
 * `onLost`: called with the number of spans that will never reach the collector.
 */
export type TracingOptions = {
  service: string
  version: string
  env: NodeJS.ProcessEnv
  log: TracingLog
  shutdownMs?: number
  onLost?: (count: number) => void
}
