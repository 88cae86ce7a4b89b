// What a scraper reads of several processes: the registries are real ones.
import { Counter, Gauge, Histogram } from 'prom-client'
import { expect, test } from 'vitest'
import {
  countedOf,
  familiesOf,
  mergeFamilies,
  registryOf,
  type MetricFamily,
} from '../../../src/controller/metrics/merged-metrics.ts'
import { createRegistry } from '../../../src/platform/metrics.ts'
import { parseOpenMetrics } from '../../fixtures/open-metrics.ts'

type Seen = { readonly calls: number; readonly seconds: readonly number[]; readonly open: number; readonly up: number }

/** The families of a process that has seen this. */
async function processThatSaw({ calls, seconds, open, up }: Seen, traceId: string): Promise<MetricFamily[]> {
  const registry = createRegistry()
  const registers = [registry]
  const labelNames = ['decision'] as const
  const decisions = new Counter({
    name: 'controller_decisions_total',
    help: 'c',
    labelNames,
    registers,
    enableExemplars: true,
  })
  decisions.inc({ labels: { decision: 'allow' }, value: calls, exemplarLabels: { trace_id: traceId } as object })
  const took = new Histogram({ name: 'controller_took_seconds', help: 'h', buckets: [0.1, 1], registers })
  for (const each of seconds) took.observe(each)
  new Gauge({ name: 'controller_open_connections', help: 'g', registers }).set(open)
  new Gauge({ name: 'controller_policy_engine_up', help: 'g', registers }).set(up)
  new Gauge({ name: 'controller_audit_unavailable', help: 'g', registers }).set(1 - up)
  return familiesOf(registry)
}

async function textOf(all: readonly (readonly MetricFamily[])[]): Promise<string> {
  return registryOf(await mergeFamilies(all), createRegistry()).metrics()
}

test('counters and histograms are added; of gauges, what is its own is added, and what is bad is seen', async () => {
  const first = await processThatSaw({ calls: 3, seconds: [0.05, 2], open: 4, up: 1 }, 'a'.repeat(32))
  const second = await processThatSaw({ calls: 5, seconds: [0.5], open: 6, up: 0 }, 'b'.repeat(32))
  const text = await textOf([first, second])
  const lines = text.split('\n')
  expect(lines).toEqual(
    expect.arrayContaining([
      'controller_took_seconds_bucket{le="0.1"} 1',
      'controller_took_seconds_bucket{le="1"} 2',
      'controller_took_seconds_bucket{le="+Inf"} 3',
      'controller_took_seconds_sum 2.55',
      'controller_took_seconds_count 3',
      'controller_open_connections 10',
      'controller_policy_engine_up 0',
      'controller_audit_unavailable 1',
    ]),
  )
  // The trace of the later one can be opened.
  const decisions = lines.filter((line) => line.startsWith('controller_decisions_total'))
  expect(decisions).toEqual([
    expect.stringMatching(/^controller_decisions_total\{decision="allow"\} 8 # \{trace_id="b{32}"\} 5 /),
  ])
  expect(() => parseOpenMetrics(text)).not.toThrow()
})

test('what a process has counted stays when it is gone, and only that', async () => {
  const gone = countedOf(await processThatSaw({ calls: 3, seconds: [0.05], open: 4, up: 0 }, 'a'.repeat(32)))
  const other = await processThatSaw({ calls: 5, seconds: [0.5], open: 6, up: 1 }, 'b'.repeat(32))
  const lines = (await textOf([other, gone])).split('\n')
  expect(lines).toEqual(
    expect.arrayContaining([
      'controller_took_seconds_count 2',
      'controller_open_connections 6',
      'controller_policy_engine_up 1',
    ]),
  )
  expect(lines.some((line) => line.startsWith('controller_decisions_total{decision="allow"} 8'))).toBe(true)
})
