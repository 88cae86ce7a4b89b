// The OTLP exporter that OTEL_EXPORTER_OTLP_PROTOCOL names; gRPC by default. The exporters themselves read address, headers,
// TLS, compression and time limit from the OTEL_* variables.
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { OTLPTraceExporter as HttpJsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as HttpProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import type { SpanExporter } from '@opentelemetry/sdk-trace'

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
      return () => new GrpcExporter(settings)
    case 'http/protobuf':
      return () => new HttpProtobufExporter(settings)
    case 'http/json':
      return () => new HttpJsonExporter(settings)
    default:
      throw new Error(
        `OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}: unsupported protocol; set grpc, http/protobuf or http/json`,
      )
  }
}
