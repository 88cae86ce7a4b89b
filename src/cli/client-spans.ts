// The spans of a command's requests to the controller: ids go out with every request, and where an OTLP endpoint is set
// the spans do too. Without one nothing is loaded for it.
import { randomHex } from '../core/ids.ts'
import type { TraceContext } from '../core/trace-context.ts'
import { otlpEndpoint } from '../platform/otel-settings.ts'

export type SpanAttributes = Readonly<Record<string, string | number>>

/** One request, from before it is sent until its answer is read. */
export type ClientSpan = {
  readonly trace: TraceContext
  /** The answer began. */
  readonly answered: (attributes: SpanAttributes & { readonly 'http.response.status_code': number }) => void
  /** No answer came, or it broke off. */
  readonly failed: (cause: unknown) => void
  readonly end: () => void
}

export type ClientSpans = {
  /** Whether a trace id can be looked up later. */
  readonly exporting: boolean
  readonly start: (name: string, attributes: SpanAttributes) => ClientSpan
  /** Ends what is open and sends everything; takes a second at most, never rejects. */
  readonly close: () => Promise<void>
}

/** `env`: for OTEL_*. */
export async function openClientSpans(env: NodeJS.ProcessEnv): Promise<ClientSpans> {
  if (otlpEndpoint(env) === undefined) return idsOnly
  const { exportClientSpans } = await import('./client-spans-export.ts')
  return exportClientSpans(env)
}

const nothing = (): void => undefined
const idsOnly: ClientSpans = {
  exporting: false,
  start() {
    // Sampled, though nobody exports this span: the controller follows the flag of its caller, and 00 would keep it and its
    // workers, who may well have an endpoint, from exporting the call.
    const trace = { traceId: randomHex(16), spanId: randomHex(8), sampled: true }
    return { trace, answered: nothing, failed: nothing, end: nothing }
  },
  close: () => Promise.resolve(),
}
