// The spans of a command's requests to the controller, where an OTLP endpoint is set. Without one nothing is loaded for it, and
// nothing is sent along: the controller begins the trace.
import type { TraceContext } from '../core/trace-context.ts'
import { otlpEndpoint } from '../platform/tracing/otel-settings.ts'

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

/** `env`: for OTEL_*. */
export async function openClientSpans(env: NodeJS.ProcessEnv): Promise<ClientSpans> {
  if (otlpEndpoint(env) === undefined) return noSpans
  const { exportClientSpans } = await import('./client-spans-export.ts')
  return exportClientSpans(env)
}

const nothing = (): void => undefined
const noSpans: ClientSpans = {
  start: () => ({ trace: undefined, answered: nothing, failed: nothing, end: nothing, drop: nothing }),
  close: () => Promise.resolve(),
}
