// Writes the diagnostics of the OpenTelemetry SDK to the log of the
// process: each message once as a warning, then at debug level.
import { context, diag, DiagLogLevel, ROOT_CONTEXT } from '@opentelemetry/api'
import { reasonOf } from './patient-exporter.ts'
import type { TracingLog } from './tracing-port.ts'

/** `onThrownAway`: the collector accepted a batch but rejected some of its spans. */
type DiagnosticsOptions = { readonly log: TracingLog; readonly onThrownAway: (count: number) => void }

const MAX_REMEMBERED = 50
const PARTIAL = 'Received Partial Success response:'

export function listenToSdk({ log, onThrownAway }: DiagnosticsOptions): void {
  const said = new Set<string>()
  const report = (message: string, ...more: unknown[]): void => {
    if (message === PARTIAL) onThrownAway(rejectedIn(more))
    const reason = reasonOf([message, ...more.filter((part) => typeof part === 'string')].join(' '))
    const isNew = !said.has(reason) && said.size < MAX_REMEMBERED
    said.add(reason)
    // A batch is sent inside some request: its ids do not belong on this line.
    context.with(ROOT_CONTEXT, () => {
      log[isNew ? 'warn' : 'debug']({ event: 'tracing_warning', reason }, 'OpenTelemetry reports a problem')
    })
  }
  const ignore = (): void => undefined
  const logger = { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore }
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
}

/** Call it before the SDK replaces our logger with its own: it would report the replacement to both. */
export function silenceSdk(): void {
  diag.disable()
}

function rejectedIn(parts: readonly unknown[]): number {
  try {
    const { rejectedSpans } = JSON.parse(String(parts[0])) as { rejectedSpans?: unknown }
    const count = Number(rejectedSpans ?? 0)
    return Number.isSafeInteger(count) && count > 0 ? count : 0
  } catch {
    return 0
  }
}
