// Metrics of the shipping of the audit log, read at each scrape from what its background thread reported last; only where
// records are shipped.
import { Counter, Gauge } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'

/** What a shipper says of itself (audit-shipping/shipper.ts). */
type Standing = {
  readonly target: string
  readonly lagRecords: number
  readonly oldestUnshippedMs: number
  readonly accepted: number
  readonly rejected: number
  readonly missed: number
}

const OUTCOMES = ['accepted', 'rejected', 'missed'] as const

/** `standings` never throws; a target without one has not reported yet. */
export function createAuditShippingMetrics(
  registry: Registry,
  targets: readonly string[],
  standings: () => readonly Standing[],
): void {
  const registers = [registry]
  const labelNames = ['target']
  const each = (use: (target: string, standing: Standing | undefined) => void): void => {
    const known = new Map(standings().map((standing) => [standing.target, standing]))
    for (const target of targets) use(target, known.get(target))
  }
  const lagRecords = new Gauge({
    name: 'controller_audit_ship_lag_records',
    help: 'Audit records that the target does not have yet: otlp, the collector of logs, or nats, the stream of the mesh.',
    labelNames,
    registers,
    collect: () => each((target, standing) => lagRecords.set({ target }, standing?.lagRecords ?? 0)),
  })
  const lagSeconds = new Gauge({
    name: 'controller_audit_ship_lag_seconds',
    help: 'Age of the oldest audit record that the target does not have yet; 0: it has all.',
    labelNames,
    registers,
    collect: () => each((target, standing) => lagSeconds.set({ target }, (standing?.oldestUnshippedMs ?? 0) / 1000)),
  })
  const shipped = new Counter({
    name: 'controller_audit_shipped_total',
    help: 'Audit records by target and by the outcome of shipping them: accepted or rejected by the target, or missed because they were no longer in the log.',
    labelNames: [...labelNames, 'outcome'],
    registers,
    collect() {
      shipped.reset()
      each((target, standing) => {
        for (const outcome of OUTCOMES) shipped.inc({ target, outcome }, standing?.[outcome] ?? 0)
      })
    },
  })
  for (const metric of [lagRecords, lagSeconds, shipped]) guardCollector(metric)
}
