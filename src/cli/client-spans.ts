// The spans of a command's requests to the controller, if an OTLP endpoint is set. Without one nothing is loaded and no
// traceparent is sent: the controller begins the trace.
import { otlpEndpoint } from '../platform/tracing/otel-settings.ts'
import type { ClientSpans } from './client-span.ts'

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
