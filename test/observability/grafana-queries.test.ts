// What the dashboards ask: every metric, label and member of a record that they name has to exist.
import { describe, expect, test } from 'vitest'
import { expressionsOf, withoutVariables, type AskingDashboard } from '../../scripts/dashboards/expressions.ts'
import { exportedLabels } from '../fixtures/exported-metrics.ts'
import { parseLogql, parseTraceql } from '../fixtures/stack/logql-syntax.ts'
import { AUDIT_EVENTS } from './audit-events.ts'
import { readText } from './files.ts'
import { isExploreLink, panelsOf, readDashboards, readExploreLink, textsOf, type Panel } from './grafana-model.ts'
import { readLogql, type LogQuery } from './logql.ts'
import { readRecordings, readRule } from './prometheus-files.ts'
import { readPromql } from './promql.ts'

/** What Prometheus adds to everything that it scrapes. */
const SCRAPED = ['job', 'instance']
/** Metrics that are not the controller's, with their labels. */
const OTHERS: Readonly<Record<string, readonly string[]>> = {
  up: [],
  ALERTS: ['alertname', 'alertstate', 'severity', 'capability'],
}

const dashboards = await readDashboards()
const panels = dashboards.flatMap(panelsOf)
const expressions = dashboards.flatMap((dashboard) => expressionsOf(dashboard as AskingDashboard))
const ofSource = (uid: string): string[] =>
  expressions.filter(({ datasource }) => datasource === uid).map(({ expr }) => withoutVariables(expr))
const exported = await exportedLabels()
/** Recorded series, with the labels that they are grouped by. */
const recorded = new Map(
  (await readRecordings()).map(({ record, expr }) => [record, readRule(expr).groupings[0]?.labels ?? []] as const),
)

describe('PromQL', () => {
  const read = ofSource('prometheus').map((expr) => ({ expr, ...readPromql(expr) }))

  test('names metrics that are exported or recorded', () => {
    const unknown = read.flatMap(({ expr, selectors }) =>
      selectors
        .filter(({ metric }) => !exported.has(metric) && !recorded.has(metric) && !(metric in OTHERS))
        .map(({ metric }) => ({ expr, metric })),
    )
    expect(read.length).toBeGreaterThan(60)
    expect(read.filter(({ selectors }) => selectors.length === 0)).toEqual([])
    expect(unknown).toEqual([])
  })

  test('names labels that these metrics have', () => {
    const labelsOf = (metric: string): string[] => [
      ...SCRAPED,
      ...(exported.get(metric) ?? recorded.get(metric) ?? OTHERS[metric] ?? []),
    ]
    const named = read.flatMap(({ expr, selectors, groupings }) => [
      ...selectors.flatMap(({ metric, labels }) => labels.map((label) => ({ expr, metric, label }))),
      ...groupings.flatMap(({ metrics, labels }) =>
        metrics.flatMap((metric) => labels.map((label) => ({ expr, metric, label }))),
      ),
    ])
    expect(named.length).toBeGreaterThan(60)
    expect(named.filter(({ metric, label }) => !labelsOf(metric).includes(label))).toEqual([])
  })

  test('marks a change of policy and a start, each once and as wide as it is scraped', () => {
    const started = 'changes(process_start_time_seconds{job="controller"}[$__rate_interval]) > 0'
    const changed = 'resets(controller_policy_age_seconds{job="controller"}[$__rate_interval]) > 0'
    const marks = expressions.filter(({ panel }) => ['Policy changed', 'Controller started'].includes(panel))
    expect(marks.map(({ expr }) => expr)).toEqual(dashboards.flatMap(() => [`${changed} unless ${started}`, started]))
  })

  test('of a variable lists a label of a metric that is exported', () => {
    const variables = dashboards.flatMap(({ templating }) => templating.list.map(({ definition }) => definition))
    const read = variables.map((definition) => /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? [])
    expect(read.map(([, metric = '', label = '']) => exported.get(metric)?.has(label))).toEqual(read.map(() => true))
  })
})

test('legends and links show labels that the sums have left', () => {
  const shown = panels.flatMap(shownLabels)
  expect(shown.length).toBeGreaterThan(20)
  expect(shown.filter(({ label, left }) => !left.includes(label))).toEqual([])
})

type Shown = { readonly panel: string; readonly label: string; readonly left: readonly string[] }

function shownLabels({ title, targets, fieldConfig }: Panel): Shown[] {
  const lists = targets.flatMap(({ expr = '' }) => [...expr.matchAll(/by \(([^)]*)\)/g)])
  const left = lists.flatMap(([, list = '']) => list.split(', '))
  const legends = targets.flatMap(({ legendFormat = '' }) => [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)])
  const inLinks = textsOf(fieldConfig).flatMap(({ text }) => [...text.matchAll(/\$\{__field\.labels\.(\w+)\}/g)])
  return [...legends, ...inLinks].map(([, label = '']) => ({ panel: title, label, left }))
}

describe('LogQL', () => {
  const links = dashboards.flatMap((dashboard) => textsOf(dashboard).filter(isExploreLink))
  const ofLinks = links.map(({ text }) => readExploreLink(text, 'x').query.expr ?? '')
  const read = [...ofSource('loki'), ...ofLinks].map((expr) => ({ expr, ...readLogql(expr) }))

  test('selects audit records by the labels that Alloy sets', async () => {
    const alloy = await readText('observability/alloy/config.alloy')
    expect(read.length).toBeGreaterThan(12)
    for (const { stream } of read) {
      expect(stream).toMatchObject({ service_name: { value: 'crank-controller' }, stream: { value: 'audit' } })
      expect(Object.keys(stream).filter((label) => !new RegExp(`"?${label}"?\\s+= "`).test(alloy))).toEqual([])
    }
  })

  test('takes members that these records have', () => {
    const missing = read.flatMap((query) => {
      const records = selectedEvents(query)
      const roots = Object.values(query.members).map((path) => path.split(/[.[]/)[0] ?? '')
      return roots.filter((root) => !records.some((record) => root in record)).map((root) => [query.expr, root])
    })
    expect(read.filter((query) => selectedEvents(query).length === 0)).toEqual([])
    expect(missing).toEqual([])
  })

  // Records have its real name.
  test('lets all capabilities pass where the one that no manifest names is chosen', () => {
    const filters = read.flatMap(({ expr }) =>
      [...expr.matchAll(/\| (capability\b[^|]*)/g)].map(([, filter]) => filter),
    )
    expect(filters.length).toBeGreaterThan(4)
    for (const filter of filters) expect(filter).toMatch(/^capability=~"[^"]+" or chosen=~"/)
  })

  test('uses names that it has made', () => {
    const unmade = read.flatMap(({ expr, members, made, used, stream }) => {
      const known = [...Object.keys(members), ...made, ...Object.keys(stream), 'event']
      return used.filter((name) => !known.includes(name)).map((name) => [expr, name])
    })
    expect(read.flatMap(({ used }) => used).length).toBeGreaterThan(20)
    expect(unmade).toEqual([])
  })
})

/** Events that the stream selector lets through; the placeholder of a link stands for any. */
function selectedEvents({ stream }: LogQuery): object[] {
  const { value = '.*' } = stream['event'] ?? {}
  const wanted = new RegExp(`^(?:${value === 'x' ? '.*' : value})$`)
  return Object.values(AUDIT_EVENTS).filter(({ event }) => wanted.test(event))
}

test('TraceQL asks for an attribute that our spans have', async () => {
  const attributes = ofSource('tempo').flatMap((query) => [...query.matchAll(/span\.([\w.]+)/g)])
  expect(attributes.map(([, name]) => name)).toEqual(['policy.decision'])
  expect(await readText('src/policy/judge.ts')).toContain("'policy.decision'")
  expect(ofSource('tempo').filter((query) => !query.includes('.service.name = "crank-controller"'))).toEqual([])
})

test('TraceQL finds requests, one row each, and of many the newest', () => {
  const queries = ofSource('tempo')
  expect(queries.length).toBeGreaterThan(1)
  for (const query of queries) expect(query).toMatch(/&& kind = server\b.*\} with \(most_recent=true\)$/)
})

test('TraceQL is what its grammar knows', () => {
  for (const query of ofSource('tempo')) expect(() => parseTraceql(query)).not.toThrow()
})

describe('what reads the queries', () => {
  test.each(['{ span.a = }', '{ span.a = "b" && }', '{ kind = server } with (most_recent)', 'spans { }'])(
    'refuses what is not TraceQL: %s',
    (query) => {
      expect(() => parseTraceql(query)).toThrow('not understood at')
    },
  )

  test.each(['{a="b"', '{a="b"} | json x=', '{a="b"} | x = y', 'sum by (a) ({a="b"})', '{a="b"} |= '])(
    'refuses what is not LogQL: %s',
    (query) => {
      expect(() => parseLogql(query)).toThrow('not understood at')
    },
  )

  test('finds metrics, matchers and what is summed by', () => {
    const { selectors, groupings } = readPromql(
      'topk(3, sum by (a, le) (rate(x_total{b=~"c|d", e!="f"}[5m])) > 0) or y',
    )
    expect(selectors).toEqual([
      { metric: 'x_total', labels: ['b', 'e'] },
      { metric: 'y', labels: [] },
    ])
    expect(groupings).toEqual([{ labels: ['a', 'le'], metrics: ['x_total'] }])
  })

  test('refuses what it does not know', () => {
    expect(() => readPromql('sum(x) by (a)')).toThrow('stands before')
    expect(() => readPromql('a * on (b) c')).toThrow('not read here')
    expect(() => readLogql('sum(rate([5m]))')).toThrow('no stream selector')
  })

  test('finds labels, members and filters', () => {
    const expr = '{a="b", c=~`d|e`} | json f="g.h", i="j[0]" | f=`k` | label_format l=`{{.i}}` | l!=""'
    expect(readLogql(`sum by (l, a) (count_over_time(${expr} [5m]))`)).toEqual({
      stream: { a: { operator: '=', value: 'b' }, c: { operator: '=~', value: 'd|e' } },
      members: { f: 'g.h', i: 'j[0]' },
      made: ['l'],
      used: ['f', 'l', 'i', 'l', 'a'],
    })
  })
})
