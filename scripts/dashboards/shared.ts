// Panels and texts that several dashboards share.
import { MappingType, type Panel, type ValueMapping } from '@grafana/grafana-foundation-sdk/dashboard'
import { table } from './panels.ts'
import { rows } from './queries.ts'

/** The firing alerts whose name matches the regular expression. */
export function alerts(names: string, width: number): Panel {
  return table({
    title: 'Firing alerts',
    description:
      'Alerts of this area that are firing. docs/operations/observability-guide.md has a section for each alert: read it before anything else on this page.',
    width,
    height: 4,
    queries: [rows(`sum by (alertname, severity, capability) (ALERTS{alertstate="firing",alertname=~"${names}"})`)],
    unit: 'none',
    noValue: 'no alert fires',
    columns: { alertname: 'Alert', severity: 'Severity', capability: 'Capability', Value: 'Instances' },
  })
}

/** Texts for a gauge that is 0 or 1. */
export function words(zero: readonly [text: string, color: string], one: readonly [string, string]): ValueMapping[] {
  const options = { 0: { text: zero[0], color: zero[1], index: 0 }, 1: { text: one[0], color: one[1], index: 1 } }
  return [{ type: MappingType.ValueToText, options }]
}
