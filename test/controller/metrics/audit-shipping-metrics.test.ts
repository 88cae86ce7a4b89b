// The metrics of shipping: what the background thread reported last, and zero before it has.
import { expect, test } from 'vitest'
import { createAuditShippingMetrics } from '../../../src/controller/metrics/audit-shipping-metrics.ts'
import { createRegistry } from '../../../src/platform/metrics.ts'

const STANDING = { lagRecords: 7, oldestUnshippedMs: 90_500, accepted: 100, rejected: 2, missed: 1 }

async function scraped(standing: () => typeof STANDING | undefined): Promise<string[]> {
  const registry = createRegistry()
  createAuditShippingMetrics(registry, standing)
  await registry.metrics()
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith('controller_audit_ship'))
}

test('are those of the last report, however often they are scraped', async () => {
  expect(await scraped(() => STANDING)).toEqual([
    'controller_audit_ship_lag_records 7',
    'controller_audit_ship_lag_seconds 90.5',
    'controller_audit_shipped_total{outcome="accepted"} 100',
    'controller_audit_shipped_total{outcome="rejected"} 2',
    'controller_audit_shipped_total{outcome="missed"} 1',
  ])
})

test('are zero before the first report', async () => {
  const values = (await scraped(() => undefined)).map((line) => Number(line.split(' ')[1]))
  expect(values).toEqual([0, 0, 0, 0, 0])
})
