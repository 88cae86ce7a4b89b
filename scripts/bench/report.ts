// What a run prints: tables for people. Every figure is a median, with all rounds beside the two that count most.
import { cpus } from 'node:os'
import type { Budget } from './budgets.ts'
import type { PolicyRow, RouteRow } from './measure.ts'
import type { Latency } from './statistics.ts'
import { median } from './statistics.ts'

export type Report = {
  readonly date: string
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string }
  readonly rounds: number
  readonly quick: boolean
  readonly rate: number
  readonly connections: number
  readonly policy: readonly PolicyRow[]
  readonly routes: readonly RouteRow[]
  readonly budgets: readonly Budget[]
}

/** Where it was measured. */
export function machine(): Report['machine'] {
  const all = cpus()
  return { cpu: all[0]?.model ?? 'unknown', cores: all.length, node: process.version }
}

/** The tables as text. */
export function tables(report: Report): string {
  const { date, machine: on, rounds, rate, connections } = report
  return [
    `${date}, ${on.cores} x ${on.cpu}, Node ${on.node}; ${rounds} interleaved rounds, medians; CPU in us per request`,
    '',
    ...policyTable(report.policy),
    ...routeTables(report.routes, { rate, connections }),
    ...budgetTable(report.budgets),
    ...failures(report.routes),
    '',
  ].join('\n')
}

function policyTable(rows: readonly PolicyRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ engine, concurrency, rounds }) => [
    engine,
    String(concurrency),
    fixed(median(rounds.map((round) => round.decisions / round.seconds)), 0),
    ...latencyCells(rounds.map((round) => round.latencyMs)),
    ...['policy', 'opa'].map((part) => fixed(median(rounds.map((round) => round.cpuUs[part] ?? Number.NaN)), 1)),
    rounds.map((round) => fixed(round.latencyMs.p95, 3)).join(' '),
  ])
  const head = ['engine', 'at once', 'per s', 'p50 ms', 'p95 ms', 'p99 ms', 'CPU own', 'CPU opa', 'p95 of every round']
  return ['Policy evaluation', ...table(head, cells), '']
}

const PARTS = ['controller', 'opa', 'worker', 'collector', 'generator'] as const

function routeTables(rows: readonly RouteRow[], at: { rate: number; connections: number }): string[] {
  if (rows.length === 0) return []
  const closed = rows.map(({ name, rounds }) => [
    name,
    fixed(median(rounds.map((round) => round.closed.requests / round.closed.seconds)), 0),
    ...latencyCells(rounds.map((round) => round.closed.latencyMs)),
    ...PARTS.map((part) => fixed(median(rounds.map((round) => round.closed.cpuUs[part] ?? Number.NaN)), 1)),
    rounds.map((round) => fixed(round.closed.cpuUs['controller'] ?? Number.NaN, 1)).join(' '),
  ])
  const open = rows.map(({ name, rounds }) => [
    name,
    ...latencyCells(rounds.map((round) => round.open.latencyMs)),
    fixed(median(rounds.map((round) => round.open.cpuUs['controller'] ?? Number.NaN)), 1),
    rounds.map((round) => fixed(round.open.latencyMs.p95, 2)).join(' '),
  ])
  return [
    ...rows.map(({ name, what }) => `${name.padEnd(13)}${what}`),
    '',
    `Closed loop, ${at.connections} connections (latencies are those of a saturated server)`,
    ...table(
      [
        'row',
        'req/s',
        'p50 ms',
        'p95 ms',
        'p99 ms',
        ...PARTS.map((part) => `CPU ${part}`),
        'CPU controller of every round',
      ],
      closed,
    ),
    '',
    `Open loop, ${at.rate} requests per second, latency from the moment a request should have left`,
    ...table(['row', 'p50 ms', 'p95 ms', 'p99 ms', 'CPU controller', 'p95 of every round'], open),
    '',
  ]
}

function budgetTable(budgets: readonly Budget[]): string[] {
  const cells = budgets.map(({ what, limit, measured, unit, rounds, mark }) => [
    what,
    limit,
    measured === null ? '-' : `${fixed(measured, digits(unit))}${unit === 'x' ? 'x' : ' ms'}`,
    mark,
    rounds.map((round) => fixed(round, digits(unit))).join(' '),
  ])
  return ['Budgets (design section 8)', ...table(['what', 'budget', 'measured', '', 'every round'], cells)]
}

function failures(rows: readonly RouteRow[]): string[] {
  return failedRows(rows).map((name) => `NOT VALID: the row ${name} had answers other than 200`)
}

/** Rows whose figures do not count. */
export function failedRows(rows: readonly RouteRow[]): string[] {
  const hasFailed = ({ rounds }: RouteRow): boolean =>
    rounds.some(({ closed, open }) => closed.failed + open.failed > 0)
  return rows.filter(hasFailed).map(({ name }) => name)
}

function digits(unit: Budget['unit']): number {
  return unit === 'x' ? 2 : 3
}

function latencyCells(rounds: readonly Latency[]): string[] {
  return (['p50', 'p95', 'p99'] as const).map((rank) => fixed(median(rounds.map((round) => round[rank])), 3))
}

function fixed(value: number, decimals: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(decimals)
}

/** Columns as wide as they must be: words to the left, figures to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) =>
        /^-?[\d.]+( ms|x)?$|^-$/.test(cell) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(head), ...rows.map(line)]
}
