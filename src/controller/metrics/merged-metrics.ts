// The metrics of several processes as one scrape. Counters and histograms are added; of each gauge, this file says how.
import { Registry as LibraryRegistry } from 'prom-client'
import type { Registry } from '../../platform/metrics.ts'

type Exemplar = { readonly labelSet: object; readonly value: number; readonly timestamp: number }
type Sample = {
  readonly value: number
  readonly labels: Readonly<Partial<Record<string, string | number>>>
  readonly metricName?: string
  exemplar?: Exemplar | null
}
type How = 'sum' | 'min' | 'max' | 'average' | 'first' | 'omit'

/** One metric with all its series, as the registry of a process gives it. */
export type MetricFamily = {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  readonly aggregator: How
  readonly values: Sample[]
}

/**
 * What each process counts for itself is added. What every process sees as a whole is the largest value: then a fault that one
 * process has is seen. Where small is bad, it is the smallest.
 */
const GAUGES: Readonly<Record<string, How>> = {
  controller_open_connections: 'sum',
  controller_queue_length: 'sum',
  controller_admission_limit: 'sum',
  controller_admission_in_flight: 'sum',
  controller_admission_waiting: 'sum',
  controller_audit_queue_length: 'sum',
  controller_audit_bytes: 'sum',
  controller_audit_oldest_record_timestamp_seconds: 'min',
  controller_audit_disk_free_bytes: 'min',
  controller_audit_disk_days_left: 'min',
  controller_decision_cache_entries: 'sum',
  controller_slo_counted_calls: 'sum',
  controller_policy_engine_up: 'min',
  controller_policy_last_success_timestamp_seconds: 'min',
  controller_svid_expiry_seconds: 'min',
  controller_slo_attained_ratio: 'min',
  controller_slo_budget_left_ratio: 'min',
}

/** The families of one process. */
export async function familiesOf(registry: Registry): Promise<MetricFamily[]> {
  return await registry.getMetricsAsJSON()
}

/** Families of one name become one, in the order of their first appearance. Of two exemplars the newer one stays. */
export async function mergeFamilies(all: readonly (readonly MetricFamily[])[]): Promise<MetricFamily[]> {
  const told = all.map((families) => families.map((family) => ({ ...family, aggregator: howOf(family) })))
  const merged = (await LibraryRegistry.aggregate(told).getMetricsAsJSON()) as unknown as MetricFamily[]
  const byName = Map.groupBy(told.flat(), ({ name }) => name)
  for (const family of merged) keepExemplars(family, byName.get(family.name) ?? [])
  return merged
}

/** Only what no successor counts again: the rest is about the present. */
export function countedOf(families: readonly MetricFamily[]): MetricFamily[] {
  return families.filter(({ type }) => type === 'counter' || type === 'histogram')
}

/** A registry that gives these families as text. */
export function registryOf(families: readonly MetricFamily[], like: Registry): Registry {
  const registry = new LibraryRegistry(like.contentType)
  for (const family of families) {
    // The text form appends the suffix of counters itself.
    const named = family.type === 'counter' ? { ...family, name: family.name.replace(/_total$/, '') } : family
    registry.registerMetric({ ...named, get: () => named } as never)
  }
  return registry
}

function howOf({ name, type, aggregator }: MetricFamily): How {
  if (type !== 'gauge') return aggregator === 'omit' ? 'omit' : 'sum'
  return name.startsWith('controller_') ? (GAUGES[name] ?? 'max') : aggregator
}

function keepExemplars(merged: MetricFamily, families: readonly MetricFamily[]): void {
  const newest = new Map<string, Exemplar>()
  for (const sample of families.flatMap(({ values }) => values)) {
    const { exemplar } = sample
    if (exemplar === undefined || exemplar === null) continue
    const key = keyOf(sample)
    if (exemplar.timestamp >= (newest.get(key)?.timestamp ?? 0)) newest.set(key, exemplar)
  }
  if (newest.size === 0) return
  for (const sample of merged.values) {
    const exemplar = newest.get(keyOf(sample))
    if (exemplar !== undefined) sample.exemplar = exemplar
  }
}

function keyOf({ metricName = '', labels }: Sample): string {
  return JSON.stringify([metricName, ...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))])
}
