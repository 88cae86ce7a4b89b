// A command's span of one request, whether spans are exported or not.
import type { TraceContext } from '../core/trace-context.ts'

export type SpanAttributes = Readonly<Record<string, string | number>>

/** One request, from before it is sent until its answer is read. */
export type ClientSpan = {
  /** What goes out with it as `traceparent`; undefined where the span is not exported: the controller begins the trace. */
  readonly trace: TraceContext | undefined
  /** The answer began. */
  readonly answered: (attributes: SpanAttributes & { readonly 'http.response.status_code': number }) => void
  /** No answer came, or it broke off. */
  readonly failed: (cause: unknown) => void
  readonly end: () => void
  /** Not worth a trace: nothing is exported. */
  readonly drop: () => void
}

export type ClientSpans = {
  readonly start: (name: string, attributes: SpanAttributes) => ClientSpan
  /** Ends what is open and sends everything; takes a second at most, never rejects. */
  readonly close: () => Promise<void>
}
