// What tracing takes and gives, whether spans are exported or not.
import type { Tracer, TracerProvider } from '@opentelemetry/api'

/** `shutdown` sends what is waiting, takes no longer than it may and never rejects. `provider`, for instrumentations, is there only while exporting. */
export type Tracing = {
  readonly tracer: Tracer
  readonly exporting: boolean
  /** Spans are exported, and the collector takes them. */
  readonly isDelivering: () => boolean
  readonly endpoint: string | undefined
  readonly provider?: TracerProvider
  shutdown(): Promise<void>
}

/** As much of a pino logger as is used here. */
export type TracingLog = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>

/**
 * `service` is the service name unless OTEL_SERVICE_NAME gives another; `shutdownMs`: the longest wait at the end, 3 s if left
 * out; `onLost`: so many spans will never reach the collector.
 */
export type TracingOptions = {
  service: string
  version: string
  env: NodeJS.ProcessEnv
  log: TracingLog
  shutdownMs?: number
  onLost?: (count: number) => void
}
