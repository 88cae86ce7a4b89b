// The OTLP exporter that OTEL_EXPORTER_OTLP_PROTOCOL names, by gRPC where it names none. Address, headers, TLS, compression
// and time limit are read from the OTEL_* variables by the exporters themselves.
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { OTLPTraceExporter as HttpJsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as HttpProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import type { SpanExporter } from '@opentelemetry/sdk-trace'

/** `agent` names this process to the collector; `concurrencyLimit`: batches under way at once. */
type SpanExporterOptions = { readonly agent: string; readonly concurrencyLimit: number }

/**
 * Makes exporters, each with connections of its own; to be called while `process.env` holds `env`'s OTEL_* variables.
 * @throws {Error} when the protocol is none of the three, or the exporter not OTLP's
 */
export function spanExporters(
  env: NodeJS.ProcessEnv,
  { agent, concurrencyLimit }: SpanExporterOptions,
): () => SpanExporter {
  const kind = env['OTEL_TRACES_EXPORTER']?.trim() ?? 'otlp'
  if (kind !== 'otlp') throw new Error(`OTEL_TRACES_EXPORTER=${kind}: no such exporter here; set otlp or none`)
  const named = env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? env['OTEL_EXPORTER_OTLP_PROTOCOL']
  const protocol = named?.trim() ?? 'grpc'
  const settings = { concurrencyLimit, userAgent: agent }
  switch (protocol) {
    case 'grpc':
      return () => new GrpcExporter(settings)
    case 'http/protobuf':
      return () => new HttpProtobufExporter(settings)
    case 'http/json':
      return () => new HttpJsonExporter(settings)
    default:
      throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}: no such protocol; set grpc, http/protobuf or http/json`)
  }
}
