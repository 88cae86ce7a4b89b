// observability/prometheus/prometheus.yml against what it scrapes. A real Prometheus runs with it in test/stack.
import { glob } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadControllerConfig } from '../../src/controller/config.ts'
import { commandOf, environmentOf, mountsOf, ROOT, service, together } from '../docker/compose.ts'
import { readYaml, readYamlWithDefaults } from './files.ts'

type Job = { job_name: string; static_configs: { targets: string[] }[] }
type Prometheus = {
  global: Record<string, string>
  storage: { exemplars: { max_exemplars: number } }
  rule_files: string[]
  scrape_configs: Job[]
}
const FOLDER = 'observability/prometheus'
const prometheus = await readYaml<Prometheus>(`${FOLDER}/prometheus.yml`)
const container = service('prometheus', together)

const targets = Object.fromEntries(
  prometheus.scrape_configs.map(({ job_name, static_configs }) => [
    job_name,
    static_configs.flatMap((one) => one.targets),
  ]),
)

/** The value of a flag such as `--addr=…`. */
function flag(name: string, option: string): string {
  const prefix = `${option}=`
  const word = commandOf(service(name, together).command).find((one) => one.startsWith(prefix))
  return word?.slice(prefix.length) ?? expect.fail(`${name} has no ${option}`)
}

const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1)

describe('the scrape jobs', () => {
  test('ask every part where it has its metrics', async () => {
    const { admin, adminAllowedHosts } = loadControllerConfig({ env: environmentOf(service('controller', together)) })
    const jaeger = await readYamlWithDefaults<{
      service: { telemetry: { metrics: { readers: [{ pull: { exporter: { prometheus: { port: number } } } }] } } }
    }>('observability/jaeger.yaml')
    const tempo = await readYaml<{ server: { http_listen_port: number } }>('tempo.yaml')
    const loki = await readYamlWithDefaults<{ server: { http_listen_port: number } }>('observability/loki.yaml')
    expect(targets).toEqual({
      controller: [`controller:${admin.port}`],
      opa: [`opa:${portOf(flag('opa', '--diagnostic-addr'))}`],
      jaeger: [`jaeger:${jaeger.service.telemetry.metrics.readers[0].pull.exporter.prometheus.port}`],
      tempo: [`tempo:${tempo.server.http_listen_port}`],
      loki: [`loki:${loki.server.http_listen_port}`],
      alloy: [`alloy:${portOf(flag('alloy', '--server.http.listen-addr'))}`],
      alertmanager: ['alertmanager:9093'],
      prometheus: ['localhost:9090'],
    })
    // The address on the network that both are on, whatever the name is elsewhere.
    expect(container.extra_hosts).toEqual([`controller:${admin.host}`])
    expect(service('controller', together).attachments?.['admin']?.ipv4_address).toBe(admin.host)
    expect(container.networks).toContain('admin')
    expect(adminAllowedHosts.allows('controller')).toBe(true)
  })

  test('share a network with what they ask', () => {
    for (const [host = ''] of Object.values(targets)
      .flat()
      .map((target) => target.split(':'))) {
      const { networks = [] } = service(host === 'localhost' ? 'prometheus' : host, together)
      expect({ host, shared: networks.some((network) => container.networks?.includes(network)) }).toEqual({
        host,
        shared: true,
      })
    }
  })

  test('take whatever format is best: only OpenMetrics carries exemplars', () => {
    for (const job of [...prometheus.scrape_configs, prometheus.global])
      expect(job).not.toHaveProperty('scrape_protocols')
  })
})

describe('rules', () => {
  test('lie where the configuration looks for them, and in the folder that is mounted', async () => {
    expect(prometheus.rule_files).toEqual(['rules/*.rules.yml', 'alerts/*.alerts.yml'])
    for (const pattern of prometheus.rule_files) {
      const found = await Array.fromAsync(glob(pattern, { cwd: join(ROOT, FOLDER) }))
      expect({ pattern, found: found.length > 0 }).toEqual({ pattern, found: true })
    }
    expect(mountsOf(container)).toContainEqual({
      type: 'bind',
      source: `./${FOLDER}`,
      target: '/etc/prometheus',
      readOnly: true,
    })
    expect(flag('prometheus', '--config.file')).toBe('/etc/prometheus/prometheus.yml')
  })
})

describe('storage', () => {
  test('is the volume, for 15 days, exemplars included', () => {
    const volume = { type: 'volume', source: 'prometheus-data', target: '/prometheus', readOnly: false }
    expect(mountsOf(container)).toContainEqual(volume)
    expect(flag('prometheus', '--storage.tsdb.path')).toBe('/prometheus')
    expect(flag('prometheus', '--storage.tsdb.retention.time')).toBe('15d')
    expect(prometheus.storage.exemplars.max_exemplars).toBeGreaterThan(0)
    expect(flag('prometheus', '--enable-feature')).toBe('exemplar-storage')
  })
})
