import { Gauge, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createRegistry, guardCollector } from '../../src/platform/metrics.ts'

test('a scrape is OpenMetrics text with the metrics of the process', async () => {
  const registry = createRegistry()
  expect(registry.contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
  const text = await registry.metrics()
  expect(text.endsWith('\n# EOF\n')).toBe(true)
  for (const name of [
    'process_cpu_seconds_total',
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_eventloop_utilization',
    'nodejs_heap_size_used_bytes',
  ]) {
    expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'))
  }
  expect(text).not.toContain('nodejs_eventloop_utilization_')
})

test('two registries do not share a metric', () => {
  expect(createRegistry().getSingleMetric('nodejs_version_info')).not.toBe(
    createRegistry().getSingleMetric('nodejs_version_info'),
  )
})

test('a collector that throws, now or later, or never ends loses its own metric and not the scrape', async () => {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  const add = (name: string, collect: () => void | Promise<void>): void => {
    guardCollector(new Gauge({ name, help: 'h', registers: [registry], collect }))
  }
  add('throws', () => {
    throw new Error('EMFILE')
  })
  add('rejects', () => Promise.reject(new Error('EMFILE')))
  add('hangs', () => new Promise(() => undefined))
  add('works', function (this: unknown) {
    ;(this as Gauge).set(7)
  })
  expect(await registry.metrics()).toContain('works 7')
})

test('no default metric can fail a scrape when the process cannot read its own memory', async () => {
  const registry = createRegistry()
  const { memoryUsage } = process
  process.memoryUsage = Object.assign(
    () => {
      throw new Error('EMFILE: too many open files, uv_resident_set_memory')
    },
    { rss: () => 0 },
  )
  try {
    expect(await registry.metrics()).toContain('nodejs_version_info')
  } finally {
    process.memoryUsage = memoryUsage
  }
})
