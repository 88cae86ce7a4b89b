// Metrics of the shipping of the audit log, read at each scrape from what its background thread reported last; only where
// records are shipped.
import { Counter, Gauge } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'

/** What a shipper says of itself (audit-shipping/shipper.ts). */
type Standing = {
  readonly lagRecords: number
  readonly oldestUnshippedMs: number
  readonly accepted: number
  readonly rejected: number
  readonly missed: number
}

const OUTCOMES = ['accepted', 'rejected', 'missed'] as const

/** `standing` never throws. Undefined: nothing was reported yet. */
export function createAuditShippingMetrics(registry: Registry, standing: () => Standing | undefined): void {
  const registers = [registry]
  const lagRecords = new Gauge({
    name: 'controller_audit_ship_lag_records',
    help: 'Audit records that the collector of logs does not have yet.',
    registers,
    collect() {
      lagRecords.set(standing()?.lagRecords ?? 0)
    },
  })
  const lagSeconds = new Gauge({
    name: 'controller_audit_ship_lag_seconds',
    help: 'Age of the oldest audit record that the collector of logs does not have yet; 0: it has all.',
    registers,
    collect() {
      lagSeconds.set((standing()?.oldestUnshippedMs ?? 0) / 1000)
    },
  })
  const shipped = new Counter({
    name: 'controller_audit_shipped_total',
    help: 'Audit records by the outcome of shipping them: accepted or rejected by the collector, or missed because they were no longer in the log.',
    labelNames: ['outcome'],
    registers,
    collect() {
      shipped.reset()
      for (const outcome of OUTCOMES) shipped.inc({ outcome }, standing()?.[outcome] ?? 0)
    },
  })
  for (const metric of [lagRecords, lagSeconds, shipped]) guardCollector(metric)
}
