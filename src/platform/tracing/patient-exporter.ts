// Sends batches of spans, and retries one that the collector does not accept. Each retry opens a new connection: gRPC itself
// waits up to two minutes before it reconnects to an address that failed.
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { ExportHealth } from './export-health.ts'

type PatientExporterOptions = {
  /** Opens an exporter with its own connections. */
  readonly open: () => SpanExporter
  readonly health: ExportHealth
  /** How long a batch is retried. */
  readonly holdMs: number
  /** Waits; resolves early when `signal` aborts. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
}

export type PatientExporter = SpanExporter & {
  /** Gives every batch one more attempt, at once. */
  readonly hurry: () => void
  /** Stops waiting for exports in progress. */
  readonly abandon: () => void
}

type Done = Parameters<SpanExporter['export']>[1]
type Result = Parameters<Done>[0]

const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 3000
// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- ExportResultCode is in a package that is not a direct dependency
const SUCCESS: Result = { code: 0 }
const MAX_REASON_CHARS = 200
/** gRPC: CANCELLED, DEADLINE_EXCEEDED, ABORTED, INTERNAL (mostly a broken connection), UNAVAILABLE. */
const PASSING_GRPC = new Set([1, 4, 10, 13, 14])

export function createPatientExporter(options: PatientExporterOptions): PatientExporter {
  const { open, health, holdMs, pause, monotonic } = options
  const hurried = new AbortController()
  const abandoned = Promise.withResolvers<undefined>()
  const running = new Set<Promise<unknown>>()
  let current = open()

  async function deliver(spans: ReadableSpan[]): Promise<void> {
    const start = monotonic()
    for (let attempt = 1; ; attempt += 1) {
      const last = hurried.signal.aborted
      const used = current
      const error = await attemptOnce(used, spans)
      if (error === undefined) {
        health.delivered(spans.length)
        return
      }
      if (last || !isPassing(error) || monotonic() - start > holdMs) {
        health.givenUp(spans.length, reasonOf(error.message))
        return
      }
      // A single failed attempt is not reported: a collector that restarts breaks its connections.
      if (attempt > 1) health.held(reasonOf(error.message))
      await pause(Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), MAX_RETRY_MS), hurried.signal)
      renew(used)
    }
  }

  function renew(used: SpanExporter): void {
    if (current !== used) return
    current = open()
    used.shutdown().catch(() => undefined)
  }

  return {
    export(spans, done: Done) {
      // Always reports success: losses are counted here, and the SDK would only log them again.
      const delivery = Promise.race([deliver(spans), abandoned.promise]).then(() => {
        running.delete(delivery)
        done(SUCCESS)
      })
      running.add(delivery)
    },
    hurry: () => hurried.abort(),
    abandon: () => abandoned.resolve(undefined),
    async forceFlush() {
      await Promise.all(running)
    },
    async shutdown() {
      await Promise.all(running)
      await current.shutdown()
    },
  }
}

/** The SDK may report an error as JSON text, including its stack. */
export function reasonOf(text: string): string {
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text
  return message.slice(0, MAX_REASON_CHARS)
}

function attemptOnce(exporter: SpanExporter, spans: ReadableSpan[]): Promise<Error | undefined> {
  return new Promise((resolve) => {
    try {
      exporter.export(spans, ({ code, error }) => {
        resolve(code === SUCCESS.code ? undefined : (error ?? new Error('the collector refused the spans')))
      })
    } catch (cause: unknown) {
      resolve(cause instanceof Error ? cause : new Error(String(cause)))
    }
  })
}

/** Whether a retry may succeed. A code below 100 is from gRPC, above from HTTP; without a code the connection failed. */
function isPassing(error: Error & { code?: unknown }): boolean {
  if (typeof error.code !== 'number') return true
  return error.code < 100 ? PASSING_GRPC.has(error.code) : error.code === 429 || error.code >= 500
}
