// Reads one file of slos/: YAML, the schema, then the rules. Every fault has its line and column.
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document, type YAMLError } from 'yaml'
import { parseCapability } from '../core/capability.ts'
import { parseDuration } from '../platform/duration.ts'
import { locatedFaults } from '../policy/data/schema-faults.ts'
import { ruleFaults } from './slo-rules.ts'
import { SloSchema, type SloDocument } from './slo-schema.ts'
import {
  DEFAULT_BURN,
  LATENCY_TARGETS,
  SHEDDABLE,
  type LatencyObjective,
  type Objective,
  type Slo,
  type Target,
} from './slo.ts'

/** `line` and `column` count from 1. `path`: the member, such as `latency.p95_ms`; empty for the whole file. */
export type SloFault = {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly reason: string
}

/** Either the SLO, with the place of its capability for faults between files, or all faults. */
type SloReading =
  | { readonly slo: Slo; readonly at: Place; readonly faults: readonly [] }
  | { readonly slo: undefined; readonly faults: readonly SloFault[] }

type Place = { readonly line: number; readonly column: number }
type Parts = readonly (string | number)[]

const MAX_ALIASES = 10

/** Parses the text of a file; `file` is its name in the faults. */
export function readSlo(file: string, text: string): SloReading {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const placed = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const syntax = [...document.errors, ...document.warnings]
  if (syntax.length > 0) {
    const faults = syntax.map((fault) => ({ file, ...placed(fault.pos[0]), path: '', reason: sentence(fault) }))
    return { slo: undefined, faults }
  }
  const place = (parts: Parts): Place => placed(offsetOf(document, parts))
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch {
    const reason = `has more than ${MAX_ALIASES} aliases; write the values out`
    return { slo: undefined, faults: [{ file, line: 1, column: 1, path: '', reason }] }
  }
  const found = faultsOf(value).map(({ parts, reason }) => ({ file, ...place(parts), path: parts.join('.'), reason }))
  if (found.length > 0) return { slo: undefined, faults: found.sort((a, b) => a.line - b.line || a.column - b.column) }
  return { slo: toSlo(value as SloDocument), at: place(['capability']), faults: [] }
}

/** One fault as a line: `slos/x.yaml:3:1: window must be …`. */
export function describeSloFault({ file, line, column, path, reason }: SloFault): string {
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path} `}${reason}`
}

function faultsOf(value: unknown): { parts: Parts; reason: string }[] {
  const bySchema = locatedFaults(SloSchema, value)
  const named = new Set(bySchema.map(({ path }) => path))
  // The schema already reported a member that is not even of the right kind.
  const byRule = ruleFaults(value).filter(({ parts }) => !named.has(parts.join('.')))
  return [...bySchema, ...byRule]
}

/** Where a member begins: its key, or for an item of a list the item. A missing one is reported at its parent. */
function offsetOf(document: Document, parts: Parts): number {
  for (let depth = parts.length; depth > 0; depth -= 1) {
    const parent: unknown = depth === 1 ? document.contents : document.getIn(parts.slice(0, depth - 1), true)
    const key = parts[depth - 1]
    if (isMap(parent)) {
      const pair = parent.items.find(({ key: one }) => isScalar(one) && one.value === key)
      if (isScalar(pair?.key)) return pair.key.range?.[0] ?? 0
    }
    const node: unknown = document.getIn(parts.slice(0, depth), true)
    if (isNode(node)) return node.range?.[0] ?? 0
  }
  return isNode(document.contents) ? (document.contents.range?.[0] ?? 0) : 0
}

function sentence({ code, message }: Pick<YAMLError, 'code' | 'message'>): string {
  if (code === 'MULTIPLE_DOCS') return 'has several documents; write one SLO per file'
  return `is not valid YAML: ${message.split('\n')[0] ?? ''}`
}

function toSlo({
  capability,
  owner,
  window,
  availability,
  latency = {},
  error_budget = {},
  shed = [],
}: SloDocument): Slo {
  const targets = new Map<Objective, Target>([['availability', { target: availability, limitMs: undefined }]])
  for (const name of Object.keys(LATENCY_TARGETS) as LatencyObjective[]) {
    const limitMs = latency[`${name}_ms`]
    if (limitMs !== undefined) targets.set(name, { target: LATENCY_TARGETS[name], limitMs })
  }
  return {
    capability: parseCapability(capability),
    owner,
    windowMs: parseDuration(window),
    targets,
    burn: { fast: error_budget.fast_burn ?? DEFAULT_BURN.fast, slow: error_budget.slow_burn ?? DEFAULT_BURN.slow },
    shed: SHEDDABLE.filter((priority) => shed.includes(priority)),
  }
}
