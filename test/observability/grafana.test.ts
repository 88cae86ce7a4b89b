// The dashboards as they are checked in. Grafana itself is not to be had here: what it would stumble over is looked for.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findStaleDashboards } from '../../scripts/build-dashboards.ts'
import { ROOT } from '../docker/compose.ts'
import { readText } from './files.ts'
import {
  isExploreLink,
  panelsOf,
  readDashboards,
  readExploreLink,
  readSources,
  textsOf,
  type Panel,
} from './grafana-model.ts'
import { GRAFANA, readAlerts } from './prometheus-files.ts'

const UIDS = {
  'policy.json': 'crank-policy',
  'routing.json': 'crank-routing',
  'audit-and-identity.json': 'crank-audit-identity',
}
const dashboards = await readDashboards()
const byFile = dashboards.map((dashboard) => [dashboard.file, dashboard] as const)
const panels = dashboards.flatMap(panelsOf)
const links = dashboards.flatMap((dashboard) =>
  textsOf(dashboard)
    .filter(isExploreLink)
    .map(({ text }) => text),
)
const typeOf = new Map((await readSources()).map(({ uid, type }) => [uid, type]))

describe('the dashboards', () => {
  test('are what their source gives', async () => {
    expect(await findStaleDashboards()).toEqual([])
  })

  test('have the uids that links and alerts name', () => {
    expect(Object.fromEntries(dashboards.map(({ file, uid }) => [file, uid]))).toEqual(UIDS)
  })

  test.each(byFile)('%s is a classic dashboard that belongs to no installation', (_, dashboard) => {
    expect(dashboard).toMatchObject({ schemaVersion: 42, refresh: '30s', time: { from: 'now-1h', to: 'now' } })
    expect(dashboard).not.toHaveProperty('id')
    expect(dashboard).not.toHaveProperty('__inputs')
  })

  test.each(byFile)('%s links to the others', (_, { tags, links: [link] }) => {
    expect(link).toMatchObject({ type: 'dashboards', tags: ['crank'] })
    expect(tags).toContain('crank')
  })

  test.each(byFile)('%s numbers its panels', (_, dashboard) => {
    const ids = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).map(({ id }) => id)
    expect(ids).toEqual(ids.map((_id, index) => index + 1))
  })

  test.each(byFile)('%s has a place for every panel, and none twice', (_, dashboard) => {
    const placed = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).map(({ gridPos }) => gridPos)
    expect(placed.filter(({ x, w, h }) => x + w > 24 || w < 1 || h < 1)).toEqual([])
    const cells = placed.flatMap(({ x, y, w, h }) =>
      Array.from({ length: w * h }, (_cell, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
    )
    expect(cells).toHaveLength(new Set(cells).size)
  })
})

describe('every panel', () => {
  test('says what is seen and what to do', () => {
    const says = ({ title, description }: Panel): boolean =>
      title !== '' && description.length > 80 && /^[A-Z0-9].*\.$/.test(description)
    expect(panels.length).toBeGreaterThan(40)
    expect(panels.filter((panel) => !says(panel)).map(({ title }) => title)).toEqual([])
  })

  test('asks data sources that are provisioned, each query by a letter of its own', () => {
    for (const { datasource, targets } of panels) {
      const refs = [datasource, ...targets.map((target) => target.datasource)]
      expect(refs.map(({ uid }) => typeOf.get(uid))).toEqual(refs.map(({ type }) => type))
      expect(targets.map(({ refId }) => refId)).toEqual(targets.map((_target, index) => 'ABCDEF'[index]))
    }
  })

  test('that shows numbers has a unit', () => {
    const numeric = panels.filter(({ type }) => ['timeseries', 'stat', 'table'].includes(type))
    const ours = numeric.filter(({ datasource }) => datasource.type !== 'tempo')
    expect(ours.filter(({ fieldConfig }) => fieldConfig.defaults.unit === undefined)).toEqual([])
  })

  test('names log events that the code writes', async () => {
    const paths = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((path) => path.endsWith('.ts'))
    const code = (await Promise.all(paths.map((path) => readFile(join(ROOT, 'src', path), 'utf8')))).join('\n')
    const named = panels.flatMap(({ description }) => [...description.matchAll(/log event (\w+)/g)])
    expect(named.length).toBeGreaterThan(5)
    expect(named.map(([, event = '']) => event).filter((event) => !code.includes(`'${event}'`))).toEqual([])
  })
})

describe('every link into Explore', () => {
  test('opens one query of a data source that is provisioned, over the time shown', () => {
    expect(links.length).toBeGreaterThan(5)
    for (const url of links) {
      const { datasource, query, range } = readExploreLink(url, 'x')
      expect(query.datasource).toEqual({ uid: datasource, type: typeOf.get(datasource) })
      expect(range).toEqual({ from: 'x', to: 'x' })
    }
  })

  // Grafana decodes an address once to look for scripts in it.
  test('keeps its meaning when Grafana has cleaned it', () => {
    for (const url of links) {
      const filled = url.replace(/\$\{.*?\}/g, encodeURIComponent('stream:text_events'))
      expect(readExploreLink(decodeURI(filled), '')).toEqual(readExploreLink(filled, ''))
    }
  })
})

test('every alert is listed on the dashboard that it points to, and on no other', async () => {
  const rules = await readAlerts()
  const listed = dashboards.map((dashboard) => {
    const [, names = ''] = /alertname=~\\"([^"\\]*)/.exec(JSON.stringify(dashboard.panels)) ?? []
    return { url: `${GRAFANA}/d/${dashboard.uid}`, names: new RegExp(`^(?:${names})$`) }
  })
  const shownOn = (alert: string): string[] => listed.filter(({ names }) => names.test(alert)).map(({ url }) => url)
  expect(rules.length).toBeGreaterThan(8)
  expect(rules.map(({ alert }) => shownOn(alert))).toEqual(
    rules.map(({ annotations }) => [annotations['dashboard_url']?.split('?')[0]]),
  )
})

test('burn rates are shares of the budget that the alerts use', async () => {
  const routing = await readText('grafana/dashboards/routing.json')
  const alerts = await readText('observability/prometheus/alerts/crank.alerts.yml')
  const windows = ['5m', '30m', '1h', '6h']
  expect(windows.filter((window) => !routing.includes(`(crank:route_errors:ratio_rate${window}) / 0.001`))).toEqual([])
  expect(windows.filter((window) => !new RegExp(`ratio_rate${window} > [\\d.]+ \\* 0\\.001`).test(alerts))).toEqual([])
})
