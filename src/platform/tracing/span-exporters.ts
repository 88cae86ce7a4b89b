// The OTLP exporter that OTEL_EXPORTER_OTLP_PROTOCOL names; gRPC by default. The exporters themselves read address, headers,
// TLS, compression and time limit from the OTEL_* variables.
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { OTLPTraceExporter as HttpJsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as HttpProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import { createSpanEncoder } from './otlp-encoder.ts'

/** `agent`: the name of this process for the collector. `concurrencyLimit`: how many batches are sent at once. */
type SpanExporterOptions = { readonly agent: string; readonly concurrencyLimit: number }

/**
 * Returns a function that makes exporters, each with its own connections. Call it while `process.env` has the OTEL_*
 * variables of `env`. @throws {Error} when the protocol is not one of the three, or the exporter is not `otlp`
 */
export function spanExporters(
  env: NodeJS.ProcessEnv,
  { agent, concurrencyLimit }: SpanExporterOptions,
): () => SpanExporter {
  const kind = env['OTEL_TRACES_EXPORTER']?.trim() ?? 'otlp'
  if (kind !== 'otlp') throw new Error(`OTEL_TRACES_EXPORTER=${kind}: unsupported exporter; set otlp or none`)
  const named = env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? env['OTEL_EXPORTER_OTLP_PROTOCOL']
  const protocol = named?.trim() ?? 'grpc'
  const settings = { concurrencyLimit, userAgent: agent }
  switch (protocol) {
    case 'grpc':
      return () => withEncoder(new GrpcExporter(settings))
    case 'http/protobuf':
      return () => withEncoder(new HttpProtobufExporter(settings))
    case 'http/json':
      return () => new HttpJsonExporter(settings)
    default:
      throw new Error(
        `OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}: unsupported protocol; set grpc, http/protobuf or http/json`,
      )
  }
}

/** The part of an OTLP exporter that makes bytes of spans. It is not public: without it, the exporter goes on with its own. */
type WithSerializer = {
  readonly _delegate?: {
    _serializer?: { readonly serializeRequest: (spans: ReadableSpan[]) => Uint8Array | undefined }
  }
}

/** The exporter's own encoder takes three times as long, a third of what a traced call costs. The bytes are the same. */
function withEncoder(exporter: SpanExporter): SpanExporter {
  const delegate = (exporter as WithSerializer)._delegate
  if (typeof delegate?._serializer?.serializeRequest !== 'function') return exporter
  delegate._serializer = { ...delegate._serializer, serializeRequest: createSpanEncoder() }
  return exporter
}
