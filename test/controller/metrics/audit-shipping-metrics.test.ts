// The metrics of shipping: what the background thread reported last for each target, and zero before it has.
import { expect, test } from 'vitest'
import { createAuditShippingMetrics } from '../../../src/controller/metrics/audit-shipping-metrics.ts'
import { createRegistry } from '../../../src/platform/metrics.ts'

const STANDING = { target: 'otlp', lagRecords: 7, oldestUnshippedMs: 90_500, accepted: 100, rejected: 2, missed: 1 }

async function scraped(targets: readonly string[], standings: readonly (typeof STANDING)[]): Promise<string[]> {
  const registry = createRegistry()
  createAuditShippingMetrics(registry, targets, () => standings)
  await registry.metrics()
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith('controller_audit_ship'))
}

test('are those of the last report, by target, however often they are scraped', async () => {
  const nats = { ...STANDING, target: 'nats', lagRecords: 3, oldestUnshippedMs: 0, rejected: 0 }
  expect(await scraped(['otlp', 'nats'], [STANDING, nats])).toEqual([
    'controller_audit_ship_lag_records{target="otlp"} 7',
    'controller_audit_ship_lag_records{target="nats"} 3',
    'controller_audit_ship_lag_seconds{target="otlp"} 90.5',
    'controller_audit_ship_lag_seconds{target="nats"} 0',
    'controller_audit_shipped_total{target="otlp",outcome="accepted"} 100',
    'controller_audit_shipped_total{target="otlp",outcome="rejected"} 2',
    'controller_audit_shipped_total{target="otlp",outcome="missed"} 1',
    'controller_audit_shipped_total{target="nats",outcome="accepted"} 100',
    'controller_audit_shipped_total{target="nats",outcome="rejected"} 0',
    'controller_audit_shipped_total{target="nats",outcome="missed"} 1',
  ])
})

test('are zero before the first report', async () => {
  const values = (await scraped(['nats'], [])).map((line) => Number(line.split(' ')[1]))
  expect(values).toEqual([0, 0, 0, 0, 0])
})
