// Builds a dashboard from its rows: layout, panel numbers, variable, annotations, and links between dashboards.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import type { Dashboard, DashboardLink, Panel } from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder as PromQuery } from '@grafana/grafana-foundation-sdk/prometheus'
import { PROMETHEUS } from './queries.ts'

/* eslint-disable @typescript-eslint/no-deprecated -- the SDK would rather have the v2 schema; Grafana provisions the classic one from files */

/** `collapsed`: closed until clicked. Such a row must be last. */
export type Row = { readonly title: string; readonly panels: readonly Panel[]; readonly collapsed?: boolean }
export type DashboardSpec = {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly rows: readonly Row[]
}

/** Grafana's classic JSON model. */
export type DashboardModel = Dashboard

const TAG = 'crank'
const STARTED = 'changes(process_start_time_seconds{job="controller"}[$__rate_interval]) > 0'
// A restart also resets the age.
const POLICY_CHANGED = 'resets(controller_policy_age_seconds{job="controller"}[$__rate_interval]) > 0'

/** Builds the dashboard of these rows; every panel gets its position and number. */
export function dashboard({ uid, title, description, rows }: DashboardSpec): DashboardModel {
  const builder = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags([TAG])
    .version(1)
    .readonly()
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(capabilityVariable())
    .link(toTheOthers())
    .annotation(annotation('Policy changed', 'orange', `${POLICY_CHANGED} unless ${STARTED}`))
    .annotation(annotation('Controller started', 'blue', STARTED))
  for (const row of rows) addRow(builder, row)
  return numbered(builder.build())
}

function addRow(builder: DashboardBuilder, { title, panels, collapsed = false }: Row): void {
  const row = new RowBuilder(title).collapsed(collapsed)
  const built = panels.map((panel) => ({ build: () => panel }))
  // The panels of a closed row are its members; those of an open row follow it.
  if (collapsed) for (const panel of built) row.withPanel(panel)
  builder.withRow(row)
  if (!collapsed) for (const panel of built) builder.withPanel(panel)
}

/** All capabilities that a manifest names, and `other`; explore.ts explains the effect on records. */
function capabilityVariable(): QueryVariableBuilder {
  const query = 'label_values(controller_policy_decisions_total, capability)'
  return new QueryVariableBuilder('capability')
    .label('Capability')
    .datasource(PROMETHEUS)
    .query({ qryType: 1, query, refId: 'PrometheusVariableQueryEditor-VariableQuery' })
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] })
}

function toTheOthers(): Builder<DashboardLink> {
  const link = new DashboardLinkBuilder('Crank dashboards')
    .type(DashboardLinkType.Dashboards)
    .icon('external link')
    .tags([TAG])
    .asDropdown(false)
    .keepTime(true)
    .includeVars(true)
    .build()
  // By default the SDK hides it in a menu.
  delete link.placement
  return { build: () => link }
}

function annotation(name: string, iconColor: string, expr: string): AnnotationQueryBuilder {
  const query = new PromQuery().refId('Anno').datasource(PROMETHEUS).expr(expr).interval('15s').range()
  const mark = new AnnotationQueryBuilder().name(name).titleFormat(name).datasource(PROMETHEUS)
  return mark.enable(true).iconColor(iconColor).target(query)
}

function numbered(made: DashboardModel): DashboardModel {
  let last = 0
  for (const panel of made.panels ?? []) {
    panel.id = ++last
    if ('panels' in panel) for (const inner of panel.panels) inner.id = ++last
  }
  return made
}
