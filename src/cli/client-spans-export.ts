// A command's spans by OTLP, as the service `crank-cli`. Loaded only where an endpoint is set.
import { SpanKind, SpanStatusCode, type Span } from '@opentelemetry/api'
import { createTracing, onwardTrace, startSpan } from '../platform/tracing/tracing.ts'
import type { TracingLog } from '../platform/tracing/tracing-port.ts'
import { VERSION } from '../platform/version.ts'
import type { ClientSpan, ClientSpans } from './client-span.ts'
import { beforeEarlyEnd } from './early-end.ts'
import { paint, say } from './output.ts'

/**
 * A person is waiting for the prompt, and an export in progress would keep the process alive. So it gets only this
 * time.
 */
const SHUTDOWN_MS = 1000

export async function exportClientSpans(env: NodeJS.ProcessEnv): Promise<ClientSpans> {
  const tracing = await createTracing({
    service: 'crank-cli',
    version: VERSION,
    env: { OTEL_EXPORTER_OTLP_TIMEOUT: String(SHUTDOWN_MS), ...env },
    log: talk,
    shutdownMs: SHUTDOWN_MS,
  })
  const open = new Set<Span>()
  const end = (span: Span): void => {
    if (open.delete(span)) span.end()
  }
  const close = async (): Promise<void> => {
    stay()
    open.forEach(end)
    await tracing.shutdown()
  }
  const stay = beforeEarlyEnd(close)

  return {
    start(name, attributes): ClientSpan {
      const span = startSpan(tracing.tracer, name, SpanKind.CLIENT, undefined, attributes)
      open.add(span)
      const fail = (type: string): void => {
        span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR })
      }
      return {
        trace: onwardTrace(span),
        // A refusal is an ordinary answer; only a fault is an error.
        answered(answer) {
          span.setAttributes(answer)
          const status = answer['http.response.status_code']
          if (status >= 500) fail(String(status))
        },
        failed: (cause) => fail(cause instanceof Error ? cause.name : String(cause)),
        end: () => end(span),
        drop: () => void open.delete(span),
      }
    },
    close,
  }
}

const talk: TracingLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: sayTrouble,
  error: sayTrouble,
}

function sayTrouble(fields: { reason?: unknown; err?: unknown }, message: string): void {
  const { reason, err } = fields
  const why = typeof reason === 'string' ? reason : err instanceof Error ? err.message : ''
  say(`${paint('yellow', '‼', process.stderr)} ${message}${why === '' ? '' : `: ${why}`}`)
}
