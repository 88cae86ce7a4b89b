// Reads as much of LogQL as the dashboards and links use: which labels, which members of a line, which filters.

export type LogQuery = {
  /** Matchers of the stream selector: value by label. */
  readonly stream: Readonly<Record<string, { readonly operator: string; readonly value: string }>>
  /** Members taken from the line: `reasons[0].code` by the name it gets. */
  readonly members: Readonly<Record<string, string>>
  /** Names that a stage makes, that a filter compares, that a template shows, and that a sum is made by. */
  readonly made: readonly string[]
  readonly used: readonly string[]
}

const STRING = '(?:"((?:[^"\\\\]|\\\\.)*)"|`([^`]*)`)'

/** @throws {Error} when there is no stream selector */
export function readLogql(expr: string): LogQuery {
  const selector = /\{([^}]*)\}/.exec(expr)
  if (selector === null) throw new Error(`no stream selector: ${expr}`)
  const stream = Object.fromEntries(
    matches(selector[1] ?? '', `(\\w+)\\s*(=~|!~|!=|=)\\s*${STRING}`).map(([, label, operator, quoted, raw]) => [
      label,
      { operator: operator ?? '', value: quoted ?? raw ?? '' },
    ]),
  )
  const stages = expr.slice(selector.index + selector[0].length)
  const json = /\|\s*json((?:,?\s+\w+="[^"]*")+)/.exec(stages)?.[1] ?? ''
  const members = Object.fromEntries(matches(json, '(\\w+)="([^"]*)"').map(([, name, path]) => [name, path ?? '']))
  const used = [
    ...matches(stages, `\\|\\s*(\\w+)\\s*(?:=~|!~|!=|=)\\s*${STRING}`),
    ...matches(stages, '\\.(\\w+)(?=[\\s}])'),
    ...matches(expr, '\\bby \\(([^)]*)\\)').flatMap(([, list = '']) =>
      list.split(',').map((name) => ['', name.trim()]),
    ),
  ].map(([, name]) => name ?? '')
  return { stream, members, made: matches(stages, 'label_format (\\w+)=').map(([, name]) => name ?? ''), used }
}

function matches(text: string, pattern: string): (string | undefined)[][] {
  return [...text.matchAll(new RegExp(pattern, 'g'))]
}
