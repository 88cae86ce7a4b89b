// Spans by OTLP to a collector. Loaded only where an endpoint is set: the SDK costs 300 ms of start time.
import { FastifyOtelInstrumentation } from '@fastify/otel'
import { diag, DiagLogLevel, isSpanContextValid, trace } from '@opentelemetry/api'
import type { DiagLogger, TracerProvider } from '@opentelemetry/api'
import { startNodeSdk } from '@opentelemetry/sdk-node'
import { withOtelVariables } from './env.ts'
import type { Logger } from './logger.ts'
import type { Tracing, TracingOptions } from './tracing.ts'

const SHUTDOWN_TIMEOUT_MS = 3000
const MAX_BATCH = 512
const MAX_REASON_CHARS = 200

/** As the SDK defines its OTEL_* variables, with OTLP/gRPC as the protocol where none is named. @throws when it cannot start. */
export function createExportingTracing(options: TracingOptions & { endpoint: string }): Tracing {
  const { service, version, env, log, endpoint } = options
  const fastifyOtel = new FastifyOtelInstrumentation({ instrumentHooks: false, instrumentHandler: false })
  const { sdk, provider } = withOtelVariables(withDefaults(env, service, version), () => startSdk(log))
  const tracer = provider.getTracer('crank', version)
  if (!isSpanContextValid(tracer.startSpan('probe').spanContext()))
    throw new Error('the OpenTelemetry SDK did not start')
  fastifyOtel.setTracerProvider(provider)
  let ending: Promise<void> | undefined
  const shutdown = (): Promise<void> => (ending ??= boundedShutdown(sdk, log))
  return { tracer, exporting: true, endpoint, fastifyOtel, shutdown }
}

type Sdk = { shutdown(): Promise<void> }

// The global provider is taken anew each time, so that two services in one process (a test) each keep their own.
function startSdk(log: Logger): { sdk: Sdk; provider: TracerProvider } {
  trace.disable()
  const sdk = startNodeSdk({
    logLevel: 'none',
    metricReaders: [],
    logRecordProcessors: [],
  })
  diag.setLogger(quietDiagnostics(log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
  return { sdk, provider: trace.getTracerProvider() }
}

// The name and version go in front of the operator's resource attributes: the last one wins, OTEL_SERVICE_NAME over all.
function withDefaults(env: NodeJS.ProcessEnv, service: string, version: string): NodeJS.ProcessEnv {
  const own = `service.name=${encodeURIComponent(service)},service.version=${encodeURIComponent(version)}`
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const batch = Number(given['OTEL_BSP_MAX_EXPORT_BATCH_SIZE'] ?? MAX_BATCH)
  return {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    ...given,
    OTEL_RESOURCE_ATTRIBUTES: [own, given['OTEL_RESOURCE_ATTRIBUTES'] ?? ''].join(',').replace(/,$/, ''),
    // A larger batch is serialised in one go and triples the slowest answers (facts/performance.md 3.5).
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: String(Math.min(batch > 0 ? batch : MAX_BATCH, MAX_BATCH)),
  }
}

// A collector that is away fails every batch: said once as a warning, then only at debug level.
function quietDiagnostics(log: Logger): DiagLogger {
  let warned = false
  const report = (message: string): void => {
    const level = warned ? 'debug' : 'warn'
    warned = true
    log[level]({ event: 'span_export_failed', reason: reasonOf(message) }, 'spans are being dropped')
  }
  const ignore = (): void => undefined
  return { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore }
}

// The SDK hands errors over as JSON text, stack and all.
function reasonOf(text: string): string {
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text
  return message.slice(0, MAX_REASON_CHARS)
}

async function boundedShutdown(sdk: Sdk, log: Logger): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => resolve('late'), SHUTDOWN_TIMEOUT_MS)
  const ended = await Promise.race([
    late,
    sdk.shutdown().then(
      () => 'done',
      () => 'failed',
    ),
  ])
  clearTimeout(timer)
  if (ended !== 'done') log.debug({ event: 'span_export_incomplete', ended }, 'the last spans were not sent')
}
