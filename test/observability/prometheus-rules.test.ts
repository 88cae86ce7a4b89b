// Rules and alerts against the code: nothing is asked for that is not exported, and every alert is delivered, explained and tested.
import { describe, expect, test } from 'vitest'
import { exportedLabels } from '../fixtures/exported-metrics.ts'
import { readDashboards } from './grafana-model.ts'
import {
  filesIn,
  GRAFANA,
  patternsFor,
  readAlerts,
  readRecordings,
  readRule,
  readTests,
  type AlertCase,
} from './prometheus-files.ts'

const SEVERITIES = ['critical', 'warning']
/** Prometheus's own, on every series that it scrapes. */
const TARGET = ['job', 'instance']

const alerts = await readAlerts()
const recordings = await readRecordings()
const dashboards = (await readDashboards()).map(({ uid }) => `${GRAFANA}/d/${uid}`)
const suites = await readTests()
const cases: AlertCase[] = suites.flatMap(({ tests }) => tests.flatMap((one) => one.alert_rule_test ?? []))

/**
 * The metrics of the stack's parts that alerts ask for. Jaeger's and Prometheus's are seen in test/stack; Alloy's are those of
 * the metrics of loki.write in its source, Alertmanager's those of its documentation.
 */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  otelcol_exporter_send_failed_spans_total: ['exporter'],
  otelcol_exporter_enqueue_failed_spans_total: ['exporter'],
  otelcol_exporter_queue_size: ['exporter', 'data_type'],
  otelcol_exporter_queue_capacity: ['exporter', 'data_type'],
  loki_write_dropped_entries_total: ['host', 'tenant', 'reason'],
  alertmanager_notifications_failed_total: ['integration', 'reason'],
  prometheus_notifications_dropped_total: ['alertmanager'],
}

/** Every series that an expression may use, with its labels: exported ones, Prometheus's own `up`, those of the stack, and recorded ones. */
const available = new Map<string, ReadonlySet<string>>([
  ...[...(await exportedLabels())].map(([name, labels]) => [name, new Set([...labels, ...TARGET])] as const),
  ['up', new Set(TARGET)],
  ...Object.entries(FOREIGN).map(([name, labels]) => [name, new Set([...labels, ...TARGET])] as const),
  ...recordings.map(({ record, expr }) => [record, new Set(readRule(expr).groupings[0]?.labels)] as const),
])

describe('files', () => {
  test('every rule file is one that prometheus.yml reads, and every test reads them all', async () => {
    const files = [...(await filesIn('rules')), ...(await filesIn('alerts'))]
    for (const file of files) expect(await patternsFor(file), file).toHaveLength(1)
    for (const { rule_files } of suites) expect(rule_files.toSorted()).toEqual(files.map((file) => `../${file}`).sort())
  })

  test('every file of unit tests is found by *.test.yml', async () => {
    for (const file of await filesIn('tests')) expect(file).toMatch(/\.test\.yml$/)
  })
})

const expressions = [
  ...alerts.map(({ alert, labels, expr }) => [`${alert} (${labels['severity'] ?? ''})`, expr] as const),
  ...recordings.map(({ record, expr }) => [record, expr] as const),
]
describe.for(expressions)('%s', ([, expr]) => {
  const { selectors, groupings, matched } = readRule(expr)

  test('asks for metrics that are exported or recorded, by labels that they have', () => {
    expect(selectors).not.toEqual([])
    for (const { metric, labels } of selectors) {
      expect([...available.keys()]).toContain(metric)
      expect([...available.get(metric)!]).toEqual(expect.arrayContaining([...labels]))
    }
  })

  test('groups and matches by labels that they have', () => {
    for (const { labels, metrics } of groupings) {
      for (const metric of metrics) expect([...available.get(metric)!]).toEqual(expect.arrayContaining([...labels]))
    }
    const all = new Set(selectors.flatMap(({ metric }) => [...available.get(metric)!]))
    expect([...all]).toEqual(expect.arrayContaining(matched))
  })
})

test('the names of recordings say crank:<what>:<operation>, and there is no duplicate', () => {
  const names = recordings.map(({ record }) => record)
  for (const name of names) expect(name).toMatch(/^crank:[a-z_]+:[a-z0-9_]+$/)
  expect(new Set(names).size).toBe(names.length)
})

test.each(['crank:route_errors:ratio_rate', 'crank:slo_burn:rate'])(
  'the burn alerts have %s for each of their windows',
  (name) => {
    const recorded = recordings.map(({ record }) => record)
    const windows = ['5m', '30m', '1h', '6h'].map((window) => `${name}${window}`)
    expect(recorded).toEqual(expect.arrayContaining(windows))
  },
)

test('the alerts are those that the guide promises', () => {
  expect([...new Set(alerts.map(({ alert }) => alert))].sort()).toEqual([
    'AlertsNotDelivered',
    'AlloyDropsLines',
    'AuditCheckpointsFail',
    'AuditDiskFillsUp',
    'AuditNotAccepted',
    'AuditNotShipped',
    'AuditSegmentBroken',
    'AuditUnavailable',
    'CallsShed',
    'ControllerDown',
    'ControllerProcessesEnd',
    'ErrorBudgetBurnFast',
    'ErrorBudgetBurnSlow',
    'JaegerExportFailing',
    'JaegerQueueFilling',
    'LogLinesDropped',
    'MeshStoreAway',
    'NoWorkerForCapability',
    'PolicyDenialSpike',
    'PolicyDenialUnderEnforcement',
    'PolicyEngineDown',
    'PolicyStale',
    'PolicyUnconfirmed',
    'SloBudgetBurnFast',
    'SloBudgetBurnSlow',
    'SloFilesFaulty',
    'SpansLost',
    'SvidExpiring',
    'WatcherDown',
  ])
})

describe.for(alerts.map((rule) => [`${rule.alert} (${rule.labels['severity'] ?? ''})`, rule] as const))(
  '%s',
  ([, { alert, labels, annotations }]) => {
    test('has a severity of the closed set, and no other label of its own', () => {
      expect(labels).toEqual({ severity: expect.toBeOneOf(SEVERITIES) as string })
    })

    test('says what it is, what that means, and where to read on', () => {
      expect(Object.keys(annotations)).toEqual(['summary', 'description', 'runbook', 'dashboard_url'])
      for (const text of Object.values(annotations)) expect(text).toMatch(/^\S.*\S$/)
    })

    test('leads to its dashboard, from anywhere on this machine, and there to its capability if it is about one', () => {
      const [address, query] = annotations['dashboard_url']!.split('?')
      expect(dashboards).toContain(address)
      const isOfOne = annotations['summary']!.includes('$labels.capability')
      expect(query).toBe(isOfOne ? 'var-capability={{ $labels.capability }}' : undefined)
    })

    test('is unit-tested: when it fires with this severity, and a near miss', () => {
      const own = cases.filter(({ alertname }) => alertname === alert)
      const fired = own.flatMap(({ exp_alerts = [] }) => exp_alerts.map(({ exp_labels }) => exp_labels['severity']))
      expect(fired).toContain(labels['severity'])
      expect(own.filter(({ exp_alerts = [] }) => exp_alerts.length === 0)).not.toEqual([])
    })
  },
)
