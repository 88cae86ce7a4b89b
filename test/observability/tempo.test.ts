// tempo.yaml. Tempo cannot be had as a Go module: the file ran on Tempo 3.0.3 as it stands, and Tempo refuses a key that it does
// not know. So the keys are those that ran.
import { describe, expect, test } from 'vitest'
import { commandOf, mountsOf, service, together } from '../docker/compose.ts'
import { keyPaths, readText, readYaml, readYamlWithDefaults } from './files.ts'

const OTLP = 'distributor.receivers.otlp.protocols'
const GENERATOR = 'metrics_generator'
const OVERRIDES = 'overrides.defaults.metrics_generator'
const RAN = [
  'stream_over_http_enabled',
  ...['server', 'server.http_listen_port', 'server.log_level'],
  ...['distributor', 'distributor.receivers', 'distributor.receivers.otlp', OTLP],
  ...[`${OTLP}.grpc`, `${OTLP}.grpc.endpoint`, `${OTLP}.http`, `${OTLP}.http.endpoint`],
  ...['query_frontend', 'query_frontend.query_end_cutoff'],
  ...[GENERATOR, `${GENERATOR}.registry`, `${GENERATOR}.registry.external_labels`],
  ...[`${GENERATOR}.registry.external_labels.source`, `${GENERATOR}.registry.external_labels.cluster`],
  ...[`${GENERATOR}.processor`, `${GENERATOR}.processor.service_graphs`, `${GENERATOR}.processor.service_graphs.wait`],
  ...[`${GENERATOR}.processor.service_graphs.peer_attributes`, `${GENERATOR}.processor.span_metrics`],
  ...[`${GENERATOR}.processor.span_metrics.dimensions`, `${GENERATOR}.storage`, `${GENERATOR}.storage.path`],
  ...[`${GENERATOR}.storage.remote_write`, `${GENERATOR}.storage.remote_write.url`],
  `${GENERATOR}.storage.remote_write.send_exemplars`,
  ...['storage', 'storage.trace', 'storage.trace.backend', 'storage.trace.wal', 'storage.trace.wal.path'],
  ...['storage.trace.local', 'storage.trace.local.path'],
  ...['backend_worker', 'backend_worker.compaction', 'backend_worker.compaction.block_retention'],
  ...['overrides', 'overrides.defaults', OVERRIDES, `${OVERRIDES}.processors`, `${OVERRIDES}.trace_id_label_name`],
  `${OVERRIDES}.generate_native_histograms`,
  ...['usage_report', 'usage_report.reporting_enabled'],
]

type Tempo = {
  server: { http_listen_port: number }
  distributor: { receivers: { otlp: { protocols: Record<string, { endpoint: string }> } } }
  metrics_generator: {
    processor: Record<string, { dimensions?: string[] }>
    storage: { path: string; remote_write: { url: string; send_exemplars: boolean }[] }
  }
  storage: { trace: { wal: { path: string }; local: { path: string } } }
  backend_worker: { compaction: { block_retention: string } }
  overrides: { defaults: { metrics_generator: { processors: string[]; trace_id_label_name: string } } }
}
const tempo = await readYaml<Tempo>('tempo.yaml')

describe('the keys', () => {
  test('are exactly those that ran', () => {
    expect(keyPaths(tempo).sort()).toEqual(RAN.sort())
  })

  test('are none of those that Tempo 3 has dropped', () => {
    const dropped = ['ingester', 'ingester_client', 'compactor', 'metrics_generator_client', 'querier']
    expect(Object.keys(tempo).filter((key) => dropped.includes(key))).toEqual([])
  })

  test('hold no variable: Tempo is not told to expand any', async () => {
    expect(await readText('tempo.yaml')).not.toContain('$')
    expect(commandOf(service('tempo', together).command)).toEqual(['-config.file=/etc/tempo/tempo.yaml'])
  })
})

describe('the values', () => {
  test('listen on every address of the container', () => {
    const { grpc, http } = tempo.distributor.receivers.otlp.protocols
    expect([grpc?.endpoint, http?.endpoint]).toEqual(['0.0.0.0:4317', '0.0.0.0:4318'])
    const port = tempo.server.http_listen_port
    expect(service('tempo', together).ports).toEqual([`127.0.0.1:${port}:${port}`])
  })

  test('keep everything on the volume, whose folder the image has', () => {
    const { path } = tempo.metrics_generator.storage
    for (const folder of [path, tempo.storage.trace.wal.path, tempo.storage.trace.local.path])
      expect(folder).toMatch(/^\/var\/tempo\//)
    expect(mountsOf(service('tempo', together))).toContainEqual({
      type: 'volume',
      source: 'tempo-data',
      target: '/var/tempo',
      readOnly: false,
    })
  })

  test('generate what is configured, with the exemplar label of the controller', () => {
    const { processors, trace_id_label_name } = tempo.overrides.defaults.metrics_generator
    const configured = Object.keys(tempo.metrics_generator.processor).map((name) => name.replace('_', '-'))
    expect([...processors].sort()).toEqual(configured.sort())
    expect(trace_id_label_name).toBe('trace_id')
  })

  test('write it to the Prometheus of the stack, which takes it', () => {
    const [target, ...others] = tempo.metrics_generator.storage.remote_write
    expect(others).toEqual([])
    expect(target).toEqual({ url: 'http://prometheus:9090/api/v1/write', send_exemplars: true })
    const command = commandOf(service('prometheus', together).command)
    expect(command).toEqual(
      expect.arrayContaining(['--web.enable-remote-write-receiver', '--enable-feature=exemplar-storage']),
    )
  })

  test('keep traces as long as Jaeger does, and as Loki does their logs', async () => {
    const retention = tempo.backend_worker.compaction.block_retention
    const loki = await readYamlWithDefaults<{ limits_config: { retention_period: string } }>('observability/loki.yaml')
    expect(await readText('observability/jaeger.yaml')).toContain(`ttl: { spans: ${retention} }`)
    expect(loki.limits_config.retention_period).toBe(retention)
  })
})
