// Runs Jaeger with observability/jaeger.yaml without a container: the same file, with local addresses and a folder in
// its variables.
import { join } from 'node:path'
import { freePorts } from '../lab/free-port.ts'

export type JaegerPlan = {
  readonly args: readonly string[]
  readonly env: Readonly<Record<JaegerVariable, string>>
  /** For OTEL_EXPORTER_OTLP_ENDPOINT; OPA takes `otlpAddress`. */
  readonly otlpUrl: string
  readonly otlpAddress: string
  readonly otlpHttpUrl: string
  /** Query API and UI. */
  readonly queryUrl: string
  /** Answers 200 while it runs. */
  readonly statusUrl: string
  readonly metricsUrl: string
}
export type JaegerVariable =
  | 'JAEGER_OTLP_GRPC'
  | 'JAEGER_OTLP_HTTP'
  | 'JAEGER_QUERY_HTTP'
  | 'JAEGER_QUERY_GRPC'
  | 'JAEGER_UI_CONFIG'
  | 'JAEGER_HEALTH'
  | 'JAEGER_METRICS_HOST'
  | 'JAEGER_METRICS_PORT'
  | 'JAEGER_BADGER_DIR'
  | 'TEMPO_OTLP_GRPC'

export type JaegerPlaces = {
  /** Folder for the spans. */
  readonly dir: string
  /** `host:port` that receives the copies. */
  readonly tempo: string
  /** Default: a free port. */
  readonly queryPort?: number | undefined
  /** Whether its pages link to Grafana, which must then be running. Default: true, as in observability/jaeger.yaml. */
  readonly links?: boolean
}

const OBSERVABILITY = join(import.meta.dirname, '../../observability')
const HOST = '127.0.0.1'

/** Chooses the ports; starts nothing. */
export async function planJaeger({ dir, tempo, queryPort, links = true }: JaegerPlaces): Promise<JaegerPlan> {
  const [metricsPort, ...ports] = (await freePorts(6)) as [number, ...number[]]
  const addresses = ports.map((port) => `${HOST}:${port}`) as [string, string, string, string, string]
  const [grpc, http, query, queryGrpc, health] = addresses
  const queryAddress = queryPort === undefined ? query : `${HOST}:${queryPort}`
  return {
    args: ['--config', join(OBSERVABILITY, 'jaeger.yaml')],
    env: {
      JAEGER_OTLP_GRPC: grpc,
      JAEGER_OTLP_HTTP: http,
      JAEGER_QUERY_HTTP: queryAddress,
      JAEGER_QUERY_GRPC: queryGrpc,
      JAEGER_UI_CONFIG: links ? join(OBSERVABILITY, 'jaeger-ui.json') : '',
      JAEGER_HEALTH: health,
      JAEGER_METRICS_HOST: HOST,
      JAEGER_METRICS_PORT: String(metricsPort),
      JAEGER_BADGER_DIR: dir,
      TEMPO_OTLP_GRPC: tempo,
    },
    otlpUrl: `http://${grpc}`,
    otlpAddress: grpc,
    otlpHttpUrl: `http://${http}`,
    queryUrl: `http://${queryAddress}`,
    statusUrl: `http://${health}/status`,
    metricsUrl: `http://${HOST}:${metricsPort}/metrics`,
  }
}
