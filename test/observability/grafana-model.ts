// Grafana's dashboards and provisioning files as data, and the Explore links in them.
import { readText, readYaml } from './files.ts'

export type SourceRef = { readonly type: string; readonly uid: string }
export type Target = {
  readonly refId: string
  readonly datasource: SourceRef
  readonly expr?: string
  readonly legendFormat?: string
}
export type Panel = {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description: string
  readonly datasource: SourceRef
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number }
  readonly targets: readonly Target[]
  readonly panels?: readonly Panel[]
  readonly fieldConfig: { readonly defaults: { readonly unit?: string; readonly description?: string } }
}
export type DashboardFile = {
  readonly file: string
  readonly uid: string
  readonly title: string
  readonly id?: number
  readonly schemaVersion: number
  readonly refresh: string
  readonly time: { readonly from: string; readonly to: string }
  readonly tags: readonly string[]
  readonly links: readonly { readonly type: string; readonly tags: readonly string[] }[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition: string }[] }
  readonly panels: readonly Panel[]
}

export const DASHBOARD_FILES = ['policy.json', 'routing.json', 'audit-and-identity.json'] as const

export function readDashboards(): Promise<DashboardFile[]> {
  return Promise.all(
    DASHBOARD_FILES.map(async (file) => ({
      ...(JSON.parse(await readText(`grafana/dashboards/${file}`)) as Omit<DashboardFile, 'file'>),
      file,
    })),
  )
}

/** A data source as its file has it; `jsonData` is Grafana's own. */
export type Source = {
  readonly name: string
  readonly uid: string
  readonly type: string
  readonly url: string
  readonly access: string
  readonly editable: boolean
  readonly isDefault?: boolean
  readonly jsonData: Readonly<Record<string, unknown>>
}

/** The data sources, a `$$` still as it stands in the file. */
export async function readSources(): Promise<readonly Source[]> {
  const path = 'grafana/provisioning/datasources/crank.yml'
  return (await readYaml<{ datasources: readonly Source[] }>(path)).datasources
}

/** Every panel but the rows, those inside closed rows too. */
export function panelsOf({ panels }: Pick<DashboardFile, 'panels'>): Panel[] {
  return panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).filter(({ type }) => type !== 'row')
}

/** All texts of a tree, with the name of the member they stand in. */
export function textsOf(tree: unknown, key = ''): { key: string; text: string }[] {
  if (typeof tree === 'string') return [{ key, text: tree }]
  if (typeof tree !== 'object' || tree === null) return []
  return Object.entries(tree).flatMap(([name, value]) => textsOf(value, Array.isArray(tree) ? key : name))
}

/** The range of links that do not come from a dashboard: as long as traces and lines are kept. */
export const KEPT = { from: 'now-72h', to: 'now' }

/** A link of Jaeger's pages into Grafana; `#{traceID}` and `#{<key>}` in `url` are Jaeger's variables. */
export type JaegerLink = { readonly type: string; readonly key?: string; readonly url: string; readonly text: string }

export async function readJaegerLinks(): Promise<readonly JaegerLink[]> {
  const file = JSON.parse(await readText('observability/jaeger-ui.json')) as { linkPatterns: readonly JaegerLink[] }
  return file.linkPatterns
}

export type ExploreQuery = { readonly datasource: SourceRef; readonly expr?: string; readonly query?: string }
export type ExploreLink = {
  readonly datasource: string
  readonly query: ExploreQuery
  readonly range: { from: string; to: string }
}

/** What a link into Explore opens, with `fill` in the place of every variable, Grafana's or Jaeger's. */
export function readExploreLink(url: string, fill: string): ExploreLink {
  const { pathname, searchParams } = new URL(url.replace(/[$#]\{.*?\}/g, encodeURIComponent(fill)), 'http://grafana')
  const panes = JSON.parse(searchParams.get('panes') ?? '{}') as Record<
    string,
    { datasource: string; queries: ExploreQuery[]; range: ExploreLink['range'] }
  >
  const [pane, second] = Object.values(panes)
  const [query, other] = pane?.queries ?? []
  const known = pathname === '/explore' && searchParams.get('schemaVersion') === '1'
  if (!known || pane === undefined || query === undefined || second !== undefined || other !== undefined) {
    throw new Error(`not a link to one query in Explore: ${url}`)
  }
  return { datasource: pane.datasource, query, range: pane.range }
}

export function isExploreLink({ key, text }: { key: string; text: string }): boolean {
  return key === 'url' && text.startsWith('/explore')
}
