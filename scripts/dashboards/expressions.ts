// The queries of a dashboard, for the tests.

/** `panel`: the title of the panel or annotation. `expr`: with Grafana's variables in it. */
export type Expression = { readonly panel: string; readonly datasource: string; readonly expr: string }

type Target = { datasource?: { uid?: string }; expr?: string; query?: string }
type Asking = { title?: string; targets?: readonly Target[]; panels?: readonly Asking[] }
export type AskingDashboard = {
  panels?: readonly Asking[]
  annotations?: { list?: readonly { name: string; target?: Target }[] }
}

/** Every text query of a dashboard (PromQL, LogQL and TraceQL), with the uid of its data source. */
export function expressionsOf(dashboard: AskingDashboard): Expression[] {
  const ofAnnotations = (dashboard.annotations?.list ?? []).flatMap(({ name, target = {} }) =>
    expressions(name, [target]),
  )
  return [...(dashboard.panels ?? []).flatMap(ofPanel), ...ofAnnotations]
}

function ofPanel({ title = '', targets = [], panels = [] }: Asking): Expression[] {
  return [...expressions(title, targets), ...panels.flatMap(ofPanel)]
}

function expressions(panel: string, targets: readonly Target[]): Expression[] {
  return targets.flatMap(({ datasource, expr, query }) => {
    const text = expr ?? query
    return text === undefined ? [] : [{ panel, datasource: datasource?.uid ?? '', expr: text }]
  })
}

const VALUES: Readonly<Record<string, string>> = {
  __rate_interval: '1m',
  __range: '1h',
  __auto: '1m',
  capability: '.*',
}

/**
 * The expression as Grafana sends it, by default with all capabilities selected. @throws {Error} for an unknown
 * variable
 */
export function withoutVariables(expr: string, chosen: Readonly<Record<string, string>> = {}): string {
  return expr.replace(/\$(\w+)/g, (_, name: string) => {
    const value = chosen[name] ?? VALUES[name]
    if (value === undefined) throw new Error(`no value for $${name} in ${expr}`)
    return value
  })
}
