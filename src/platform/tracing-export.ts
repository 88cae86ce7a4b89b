// Spans by OTLP to a collector. Loaded only where an endpoint is set: the SDK costs 300 ms of start time.
import { hostname } from 'node:os'
import { FastifyOtelInstrumentation } from '@fastify/otel'
import { diag, DiagLogLevel, isSpanContextValid, trace } from '@opentelemetry/api'
import type { DiagLogger, TracerProvider } from '@opentelemetry/api'
import { startNodeSdk } from '@opentelemetry/sdk-node'
import { withOtelVariables } from './env.ts'
import type { Tracing, TracingLog, TracingOptions } from './tracing.ts'

const SHUTDOWN_MS = 3000
const MAX_BATCH = 512
// The SDK waits 5 s: a trace could be looked at 5 s after its answer. Price and latency of both: docs/performance.md.
const SCHEDULE_DELAY_MS = 50
// 40 MB at most, while the collector does not keep up: Jaeger on badger falls behind for seconds under load. The SDK's 2048
// are full after half a second.
const MAX_QUEUE = 32_768
const MAX_REASON_CHARS = 200
const MAX_PATH_CHARS = 128

/** As the SDK defines its OTEL_* variables, with OTLP/gRPC as the protocol where none is named. @throws when it cannot start. */
export function createExportingTracing(options: TracingOptions & { endpoint: string }): Tracing {
  const { service, version, env, log, endpoint, shutdownMs = SHUTDOWN_MS } = options
  const fastifyOtel = new FastifyOtelInstrumentation({
    instrumentHooks: false,
    instrumentHandler: false,
    // A refusal is an answer, and the log has the stack of what is a fault.
    recordExceptions: false,
    requestHook: (span, { method, url, routeOptions }) => {
      span.updateName(`${method} ${routeOptions.url ?? 'unknown'}`)
      // It puts the query there too, and a query may hold anything.
      span.setAttribute('url.path', url.split('?', 1).join().slice(0, MAX_PATH_CHARS))
    },
  })
  const trouble = createTroubleLog(log)
  const { sdk, provider } = withOtelVariables(withDefaults(env, service, version), () => startSdk(trouble))
  const tracer = provider.getTracer('crank', version)
  if (!isSpanContextValid(tracer.startSpan('probe').spanContext()))
    throw new Error('the OpenTelemetry SDK did not start')
  fastifyOtel.setTracerProvider(provider)
  let ending: Promise<void> | undefined
  const shutdown = (): Promise<void> => (ending ??= boundedShutdown(sdk, trouble, shutdownMs))
  return { tracer, exporting: true, endpoint, fastifyOtel, shutdown }
}

type Sdk = { shutdown(): Promise<void> }

// The global provider is taken anew each time, so that two services in one process (a test) each keep their own.
function startSdk(trouble: TroubleLog): { sdk: Sdk; provider: TracerProvider } {
  trace.disable()
  const sdk = startNodeSdk({
    logLevel: 'none',
    metricReaders: [],
    logRecordProcessors: [],
  })
  diag.setLogger(diagnostics(trouble), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
  return { sdk, provider: trace.getTracerProvider() }
}

// The name, version and host go in front of the operator's resource attributes: the last one wins, OTEL_SERVICE_NAME over all.
function withDefaults(env: NodeJS.ProcessEnv, service: string, version: string): NodeJS.ProcessEnv {
  const resource = { 'service.name': service, 'service.version': version, 'host.name': hostname() }
  const own = Object.entries(resource).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const batch = Number(given['OTEL_BSP_MAX_EXPORT_BATCH_SIZE'] ?? MAX_BATCH)
  return {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    // Not `process`: it exports the command line, and that of `crank invoke --data …` holds the payload. Not `host`: Jaeger
    // keeps each of its attributes in an index, span for span, which is a fifth of its work.
    OTEL_NODE_RESOURCE_DETECTORS: 'service',
    OTEL_BSP_SCHEDULE_DELAY: String(SCHEDULE_DELAY_MS),
    OTEL_BSP_MAX_QUEUE_SIZE: String(MAX_QUEUE),
    ...given,
    OTEL_RESOURCE_ATTRIBUTES: [...own, given['OTEL_RESOURCE_ATTRIBUTES'] ?? ''].join(',').replace(/,$/, ''),
    // A larger batch is serialised in one go and triples the slowest answers (facts/performance.md 3.5).
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: String(Math.min(batch > 0 ? batch : MAX_BATCH, MAX_BATCH)),
  }
}

type TroubleLog = (event: string, reason: string, message: string) => void

// A collector that is away fails every batch: said once as a warning, then only at debug level.
function createTroubleLog(log: TracingLog): TroubleLog {
  let warned = false
  return (event, reason, message) => {
    const level = warned ? 'debug' : 'warn'
    warned = true
    log[level]({ event, reason }, message)
  }
}

function diagnostics(trouble: TroubleLog): DiagLogger {
  const report = (message: string): void => trouble('span_export_failed', reasonOf(message), 'spans are being dropped')
  const ignore = (): void => undefined
  return { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore }
}

// The SDK hands errors over as JSON text, stack and all.
function reasonOf(text: string): string {
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text
  return message.slice(0, MAX_REASON_CHARS)
}

async function boundedShutdown(sdk: Sdk, trouble: TroubleLog, limitMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<string>()
  const timer = setTimeout(() => resolve(`no answer within ${limitMs} ms`), limitMs)
  const reason = await Promise.race([
    late,
    sdk.shutdown().then(
      () => undefined,
      (cause: unknown) => reasonOf(cause instanceof Error ? cause.message : String(cause)),
    ),
  ])
  clearTimeout(timer)
  if (reason !== undefined) trouble('span_export_incomplete', reason, 'the last spans were not sent')
}
