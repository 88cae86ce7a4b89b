// Exports spans to a collector by OTLP. Loaded only when an endpoint is set: the SDK costs 300 ms of start time.
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { isSpanContextValid, trace, TraceFlags } from '@opentelemetry/api'
import type { TracerProvider } from '@opentelemetry/api'
import { startNodeSdk } from '@opentelemetry/sdk-node'
import type { SpanProcessor } from '@opentelemetry/sdk-trace'
import { createClockedTracer } from './clocked-tracer.ts'
import { withOtelVariables } from '../env.ts'
import { createExportHealth, type ExportHealth } from './export-health.ts'
import { listenToSdk, silenceSdk } from './otel-diagnostics.ts'
import { createPatientExporter, reasonOf, type PatientExporter } from './patient-exporter.ts'
import { sdkParts } from './sdk-parts.ts'
import { createSpanClock, type SpanTime } from './span-clock.ts'
import { spanExporters } from './span-exporters.ts'
import { createSpanQueue, type SpanQueue } from './span-queue.ts'
import type { DirectTracer, Tracing, TracingOptions } from './tracing-port.ts'
import { createTupleTracer } from './tuple-tracer.ts'

const SCOPE = 'crank'
const SHUTDOWN_MS = 3000
const MAX_BATCH = 1024
// The SDK's default is 5 s: a trace would be visible only 5 s after its answer. Cost and latency of both: docs/performance.md.
const SCHEDULE_DELAY_MS = 50
const BUSY_DELAY_MS = 200
// 20 MB at most, while the collector is slow or down: Jaeger on badger falls behind for seconds under load. The SDK's default
// of 2048 is full after half a second.
const MAX_QUEUE = 32_768
const HOLD_MS = 600_000

/** Follows the OTEL_* variables as the SDK defines them; the default protocol is OTLP/gRPC. @throws when it cannot start. */
export function createExportingTracing(options: TracingOptions & { endpoint: string }): Tracing {
  const { service, version, env, log, endpoint, shutdownMs = SHUTDOWN_MS, onLost = () => undefined } = options
  const otel = withDefaults(env, service, version)
  const limits = limitsFrom(otel)
  const health = createExportHealth({ log, onLost, maxWaiting: limits.queue })
  const told = { log, onThrownAway: health.thrownAway }
  listenToSdk(told)
  const open = spanExporters(otel, { agent: `${service}/${version}`, concurrencyLimit: limits.batches })
  const exporter = createPatientExporter({
    open: () => withOtelVariables(otel, open),
    health,
    holdMs: limits.holdMs,
    pause: (ms, signal) => delay(ms, undefined, { signal, ref: false }).catch(() => undefined),
    monotonic: performance.now.bind(performance),
  })
  silenceSdk()
  const queue = createSpanQueue({ ...limits, exporter, admit: health.admit })
  const { sdk, provider } = withOtelVariables(otel, () => startSdk(processorOf(queue)))
  listenToSdk(told)
  const clock = createSpanClock({ wall: Date.now, monotonic: performance.now.bind(performance) })
  const clocked: TracerProvider = {
    getTracer: (...names) => createClockedTracer(provider.getTracer(...names), clock),
  }
  const tracer = createDirectTracer({ provider, clocked, clock, queue, version })
  let ending: Promise<void> | undefined
  const shutdown = (): Promise<void> => (ending ??= boundedShutdown({ sdk, exporter, health }, shutdownMs))
  return { tracer, exporting: true, isDelivering: () => !health.isFailing(), endpoint, provider: clocked, shutdown }
}

type Sdk = { shutdown(): Promise<void> }
type Limits = {
  queue: number
  batch: number
  batches: number
  delayMs: number
  busyDelayMs: number
  holdMs: number
}

// The SDK's global provider is read after each start, so that two services in one process (as in a test) each keep their own.
function startSdk(processor: SpanProcessor): { sdk: Sdk; provider: TracerProvider } {
  trace.disable()
  const sdk = startNodeSdk({
    logLevel: 'none',
    metricReaders: [],
    logRecordProcessors: [],
    spanProcessors: [processor],
  })
  return { sdk, provider: trace.getTracerProvider() }
}

// For the spans that the SDK makes.
function processorOf(queue: SpanQueue): SpanProcessor {
  return {
    onStart: () => undefined,
    onEnd(span) {
      if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0) queue.add(span)
    },
    forceFlush: queue.flush,
    shutdown: queue.shutdown,
  }
}

type DirectParts = {
  readonly provider: TracerProvider
  readonly clocked: TracerProvider
  readonly clock: () => SpanTime
  readonly queue: SpanQueue
  readonly version: string
}

function createDirectTracer({ provider, clocked, clock, queue, version }: DirectParts): DirectTracer {
  const tracer = clocked.getTracer(SCOPE, version)
  if (!isSpanContextValid(tracer.startSpan('probe').spanContext()))
    throw new Error('the OpenTelemetry SDK did not start')
  const { sampler, ...parts } = sdkParts(provider.getTracer(SCOPE, version))
  return createTupleTracer({ tracer, sampler, now: clock, home: { ...parts, onEnd: queue.add } })
}

// Name, version and host come before the operator's resource attributes, so that those, and OTEL_SERVICE_NAME, take precedence.
function withDefaults(env: NodeJS.ProcessEnv, service: string, version: string): NodeJS.ProcessEnv {
  const resource = { 'service.name': service, 'service.version': version, 'host.name': hostname() }
  const own = Object.entries(resource).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  return {
    // Not `process`: it exports the command line, and that of `crank invoke --data …` contains the payload. Not `host`: Jaeger
    // indexes each of its attributes for every span, which is a fifth of its work.
    OTEL_NODE_RESOURCE_DETECTORS: 'service',
    ...given,
    OTEL_RESOURCE_ATTRIBUTES: [...own, given['OTEL_RESOURCE_ATTRIBUTES'] ?? ''].join(',').replace(/,$/, ''),
  }
}

function limitsFrom(otel: NodeJS.ProcessEnv): Limits {
  const given = (name: string, fallback: number): number => {
    const value = Number(otel[name])
    return value > 0 ? value : fallback
  }
  const queue = given('OTEL_BSP_MAX_QUEUE_SIZE', MAX_QUEUE)
  // A larger batch costs less for each span, but is encoded in one step, for which calls wait: 1.5 to 2 ms for one of this size.
  const batch = Math.min(given('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', MAX_BATCH), MAX_BATCH, queue)
  return {
    queue,
    batch,
    // Enough to send all batches at once when the process ends.
    batches: Math.ceil(queue / batch) + 1,
    delayMs: given('OTEL_BSP_SCHEDULE_DELAY', SCHEDULE_DELAY_MS),
    busyDelayMs: given('OTEL_BSP_SCHEDULE_DELAY', BUSY_DELAY_MS),
    holdMs: given('OTEL_BSP_EXPORT_TIMEOUT', HOLD_MS),
  }
}

type Parts = { sdk: Sdk; exporter: PatientExporter; health: ExportHealth }

async function boundedShutdown({ sdk, exporter, health }: Parts, limitMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<string>()
  const timer = setTimeout(() => resolve(`no answer within ${limitMs} ms`), limitMs)
  health.closing()
  exporter.hurry()
  const reason = await Promise.race([
    late,
    sdk.shutdown().then(
      () => 'the spans ended too late',
      (cause: unknown) => reasonOf(cause instanceof Error ? cause.message : String(cause)),
    ),
  ])
  clearTimeout(timer)
  exporter.abandon()
  health.end(reason)
}
