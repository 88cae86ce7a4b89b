// The four data sources and their queries. The uids are those of grafana/provisioning/datasources/crank.yml.
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import { DataqueryBuilder as LokiQuery } from '@grafana/grafana-foundation-sdk/loki'
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus'
import { DataqueryBuilder as TempoQuery, SearchTableType } from '@grafana/grafana-foundation-sdk/tempo'

export const PROMETHEUS = { type: 'prometheus', uid: 'prometheus' } as const
export const LOKI = { type: 'loki', uid: 'loki' } as const
export const TEMPO = { type: 'tempo', uid: 'tempo' } as const
export const JAEGER = { type: 'jaeger', uid: 'jaeger' } as const
export type Source = typeof PROMETHEUS | typeof LOKI | typeof TEMPO | typeof JAEGER

/** A query whose letter depends on its position in the panel. */
export type Query = { readonly source: Source; readonly build: (refId: string) => Dataquery }

/** One line per series over time. `exemplar`: with dots that link to traces; once per panel is enough. */
export function series(expr: string, legend: string, { exemplar = false } = {}): Query {
  return promql((query) => query.expr(expr).legendFormat(legend).range().exemplar(exemplar))
}

/** The current values. Not the last value of a range: a stopped controller must not show its last state. */
export function now(expr: string, legend = '__auto'): Query {
  return promql((query) => query.expr(expr).legendFormat(legend).instant())
}

/** The current values, one row per series and one column per label. */
export function rows(expr: string): Query {
  return promql((query) => query.expr(expr).format(prometheus.PromQueryFormat.Table).instant())
}

function promql(fill: (query: prometheus.DataqueryBuilder) => Builder<Dataquery>): Query {
  const build = (refId: string): Dataquery => {
    const query = new prometheus.DataqueryBuilder().refId(refId).datasource(PROMETHEUS)
    return fill(query.editorMode(prometheus.QueryEditorMode.Code)).build()
  }
  return { source: PROMETHEUS, build }
}

/** Log lines, or one line per series if `expr` counts them. */
export function logql(expr: string, { legend, maxLines }: { legend?: string; maxLines?: number } = {}): Query {
  return loki(expr, 'range', (query) => {
    if (legend !== undefined) query.legendFormat(legend)
    if (maxLines !== undefined) query.maxLines(maxLines)
  })
}

/** Log lines counted over the whole range, one value per series. */
export function logqlNow(expr: string, legend: string): Query {
  return loki(expr, 'instant', (query) => query.legendFormat(legend))
}

function loki(expr: string, queryType: string, fill: (query: LokiQuery) => void): Query {
  const build = (refId: string): Dataquery => {
    const query = new LokiQuery().refId(refId).datasource(LOKI).queryType(queryType).expr(expr)
    fill(query)
    return query.build()
  }
  return { source: LOKI, build }
}

/** Spans that a TraceQL query finds, newest first. */
export function spans(traceql: string, limit: number): Query {
  const build = (refId: string): Dataquery => {
    const query = new TempoQuery().refId(refId).datasource(TEMPO).queryType('traceql').query(traceql)
    return query.limit(limit).tableType(SearchTableType.Spans).build()
  }
  return { source: TEMPO, build }
}

/** The service map: Tempo's service graph, stored in Prometheus. */
export function serviceMap(): Query {
  const build = (refId: string): Dataquery =>
    new TempoQuery().refId(refId).datasource(TEMPO).queryType('serviceMap').build()
  return { source: TEMPO, build }
}
