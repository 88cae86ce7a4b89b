// The span of one request of a command, whether spans are exported or not.
import type { TraceContext } from '../core/trace-context.ts'

export type SpanAttributes = Readonly<Record<string, string | number>>

/** One request, from before it is sent until its answer is read. */
export type ClientSpan = {
  /** Sent as `traceparent`; undefined if the span is not exported: then the controller begins the trace. */
  readonly trace: TraceContext | undefined
  /** The answer began. */
  readonly answered: (attributes: SpanAttributes & { readonly 'http.response.status_code': number }) => void
  /** No answer came, or it ended early. */
  readonly failed: (cause: unknown) => void
  readonly end: () => void
  /** Discards the span: it is not exported. */
  readonly drop: () => void
}

export type ClientSpans = {
  readonly start: (name: string, attributes: SpanAttributes) => ClientSpan
  /** Ends open spans and exports everything; takes at most a second, never rejects. */
  readonly close: () => Promise<void>
}
