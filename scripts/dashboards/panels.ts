// Creates panels: what all panels of a kind share. The SDK provides the options of each kind; titles, queries and
// fields are set here.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import * as common from '@grafana/grafana-foundation-sdk/common'
import { ThresholdsMode } from '@grafana/grafana-foundation-sdk/dashboard'
import type { DashboardLink, FieldConfig, Panel, ValueMapping } from '@grafana/grafana-foundation-sdk/dashboard'
import { PanelBuilder as LogsPanel } from '@grafana/grafana-foundation-sdk/logs'
import { PanelBuilder as NodeGraphPanel } from '@grafana/grafana-foundation-sdk/nodegraph'
import { PanelBuilder as StatPanel } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TablePanel } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as GraphPanel } from '@grafana/grafana-foundation-sdk/timeseries'
import type { Link } from './explore.ts'
import type { Query } from './queries.ts'

export type PanelSpec = {
  readonly title: string
  /** What the panel shows, and what to do about bad values. */
  readonly description: string
  /** In columns, of 24. */
  readonly width: number
  readonly height?: number
  readonly queries: readonly Query[]
  readonly noValue?: string
}
type Numbers = {
  readonly unit: string
  readonly decimals?: number
  readonly min?: number
  readonly max?: number
  /** The colour from each value on; the first applies below all of them. */
  readonly thresholds?: Thresholds
  readonly links?: readonly Link[]
}
export type Thresholds = readonly [string, ...(readonly [number, string])[]]

type GraphSpec = PanelSpec &
  Numbers & {
    readonly stacked?: boolean
    /** Draws the thresholds as lines. */
    readonly lines?: boolean
    /** By series name. */
    readonly colours?: Readonly<Record<string, string>>
  }

/** A graph over time. */
export function graph(spec: GraphSpec): Panel {
  const legend = new common.VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(common.LegendDisplayMode.Table)
    .placement(common.LegendPlacement.Bottom)
    .calcs(['lastNotNull', 'max'])
  const tooltip = new common.VizTooltipOptionsBuilder()
    .mode(common.TooltipDisplayMode.Multi)
    .sort(common.SortOrder.Descending)
  const builder = new GraphPanel()
    .legend(legend)
    .tooltip(tooltip)
    .fillOpacity(spec.stacked === true ? 40 : 5)
    .showPoints(common.VisibilityMode.Never)
  if (spec.stacked === true) builder.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal))
  if (spec.lines === true) {
    const style = new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed)
    builder.thresholdsStyle(style)
  }
  for (const [name, fixedColor] of Object.entries(spec.colours ?? {})) {
    builder.overrideByName(name, [{ id: 'color', value: { mode: 'fixed', fixedColor } }])
  }
  return finish(builder, { height: 8, ...spec }, numbers(spec))
}

type StatSpec = PanelSpec & Numbers & { readonly mappings?: ValueMapping[]; readonly text?: 'name' | 'value' }

/** One or a few large numbers. `text: 'name'` shows the legend instead. */
export function stat(spec: StatSpec): Panel {
  const { text = 'auto' } = spec
  const modes = { name: common.BigValueTextMode.Name, value: common.BigValueTextMode.Value, auto: undefined }
  const builder = new StatPanel()
    .textMode(modes[text] ?? common.BigValueTextMode.Auto)
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Value)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
    .mappings(spec.mappings ?? [])
  return finish(builder, { height: 4, ...spec }, numbers(spec))
}

type TableSpec = PanelSpec &
  Partial<Numbers> & {
    /** New names by original name; columns appear in this order. */
    readonly columns?: Readonly<Record<string, string>>
    /** `column`: a new name. */
    readonly sortBy?: { readonly column: string; readonly descending: boolean }
    /** Links of a column, by its new name. */
    readonly columnLinks?: Readonly<Record<string, readonly Link[]>>
    /** Units of columns, by their new names. */
    readonly columnUnits?: Readonly<Record<string, string>>
    /** Columns coloured by the thresholds, by their new names. */
    readonly columnColours?: readonly string[]
    /** Joins the rows of several queries by their labels. */
    readonly merged?: boolean
    /** Each series becomes a row: its name (`Field`) and its last value (`Last *`). */
    readonly seriesToRows?: boolean
  }

/** A table. */
export function table(spec: TableSpec): Panel {
  const builder = new TablePanel()
  const { columns, sortBy } = spec
  if (spec.merged === true) builder.withTransformation({ id: 'merge', options: {} })
  if (spec.seriesToRows === true) {
    builder.withTransformation({ id: 'reduce', options: { mode: 'seriesToRows', reducers: ['lastNotNull'] } })
  }
  if (columns !== undefined) {
    const indexByName = Object.fromEntries(Object.keys(columns).map((name, index) => [name, index]))
    const options = { excludeByName: { Time: true }, indexByName, renameByName: columns }
    builder.withTransformation({ id: 'organize', options })
  }
  if (sortBy !== undefined) {
    const sort = new common.TableSortByFieldStateBuilder().displayName(sortBy.column).desc(sortBy.descending)
    builder.sortBy([sort])
  }
  for (const [column, links] of Object.entries(spec.columnLinks ?? {})) {
    builder.overrideByName(column, [{ id: 'links', value: dataLinks(links) }])
  }
  for (const [column, unit] of Object.entries(spec.columnUnits ?? {})) {
    builder.overrideByName(column, [{ id: 'unit', value: unit }])
  }
  for (const column of spec.columnColours ?? []) {
    const properties = [
      { id: 'custom.cellOptions', value: { type: common.TableCellDisplayMode.ColorText } },
      { id: 'color', value: { mode: 'thresholds' } },
    ]
    builder.overrideByName(column, properties)
  }
  return finish(builder, { height: 8, ...spec }, numbers(spec))
}

/** Log lines, newest first; a click on one shows its fields and links. */
export function logs(spec: PanelSpec): Panel {
  const builder = new LogsPanel()
    .showTime(true)
    .wrapLogMessage(true)
    .enableLogDetails(true)
    .showLabels(false)
    .showCommonLabels(false)
    .prettifyLogMessage(false)
    .sortOrder(common.LogsSortOrder.Descending)
    .dedupStrategy(common.LogsDedupStrategy.None)
  return finish(builder, { height: 9, ...spec })
}

/** A graph of services. */
export function nodeGraph(spec: PanelSpec): Panel {
  return finish(new NodeGraphPanel(), { height: 12, ...spec })
}

function finish(builder: Builder<Panel>, spec: PanelSpec & { height: number }, fields: FieldConfig = {}): Panel {
  const panel = builder.build()
  const { title, description, width: w, height: h, queries, noValue } = spec
  const [first] = queries
  if (first === undefined) throw new Error(`panel ${title} has no query`)
  const targets = queries.map((query, index) => query.build(String.fromCharCode(65 + index)))
  const defaults = { ...panel.fieldConfig?.defaults, ...fields, ...(noValue === undefined ? {} : { noValue }) }
  const fieldConfig = { overrides: [], ...panel.fieldConfig, defaults }
  return { ...panel, title, description, datasource: first.source, targets, gridPos: { h, w, x: 0, y: 0 }, fieldConfig }
}

function numbers({ unit, decimals, min, max, thresholds, links }: Partial<Numbers>): FieldConfig {
  return {
    ...(unit === undefined ? {} : { unit }),
    ...(decimals === undefined ? {} : { decimals }),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(thresholds === undefined ? {} : { thresholds: steps(thresholds) }),
    ...(links === undefined ? {} : { links: dataLinks(links) }),
  }
}

function steps([base, ...above]: Thresholds): NonNullable<FieldConfig['thresholds']> {
  const from = above.map(([value, color]) => ({ value, color }))
  return { mode: ThresholdsMode.Absolute, steps: [{ value: null, color: base }, ...from] }
}

// The SDK calls these DashboardLink; the links of fields have these three members only.
function dataLinks(links: readonly Link[]): DashboardLink[] {
  return links.map(({ title, url }) => ({ title, url, targetBlank: true }) as DashboardLink)
}
