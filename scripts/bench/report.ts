// Prints a run as tables. Every figure is a median; the two most important ones show all rounds.
import { cpus } from 'node:os'
import type { Budget } from './budgets.ts'
import type { PolicyRow, RouteRow } from './measure.ts'
import type { TraceMeasurement } from './measure-traces.ts'
import { overloadTable, type OverloadRow } from './measure-overload.ts'
import { refusalTable, type RefusalRow } from './measure-refusals.ts'
import { reloadTable, type ReloadRow } from './measure-reload.ts'
import { traceTables } from './report-traces.ts'
import { median } from './statistics.ts'
import { workerTable, type WorkerRow } from './measure-workers.ts'
import { fixed, latencyCells, table } from './table.ts'

export type Report = {
  readonly date: string
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string }
  readonly rounds: number
  readonly quick: boolean
  readonly rate: number
  readonly connections: number
  readonly policy: readonly PolicyRow[]
  readonly routes: readonly RouteRow[]
  readonly refusals: readonly RefusalRow[]
  readonly traces: TraceMeasurement
  readonly workers: readonly WorkerRow[]
  readonly overload: readonly OverloadRow[]
  readonly reloads: readonly ReloadRow[]
  readonly budgets: readonly Budget[]
}

/** The machine of the measurement. */
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
    ...refusalTable(report.refusals),
    ...traceTables(report.traces),
    ...workerTable(report.workers),
    ...overloadTable(report.overload),
    ...reloadTable(report.reloads),
    ...budgetTable(report.budgets),
    ...failedRows(report).map((name) => `NOT VALID: the row ${name} had answers other than 200`),
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
    `Open loop, ${at.rate} requests per second, latency from the scheduled time of a request`,
    ...table(['row', 'p50 ms', 'p95 ms', 'p99 ms', 'CPU controller', 'p95 of every round'], open),
    '',
  ]
}

function budgetTable(budgets: readonly Budget[]): string[] {
  const cells = budgets.map(({ what, limit, measured, unit, rounds, mark }) => [
    what,
    limit,
    measured === null ? '-' : `${fixed(measured, UNITS[unit].digits)}${UNITS[unit].suffix}`,
    mark,
    rounds.map((round) => fixed(round, UNITS[unit].digits)).join(' '),
  ])
  return ['Budgets (docs/performance.md)', ...table(['what', 'budget', 'measured', '', 'every round'], cells)]
}

/** Rows whose figures are not valid. */
export function failedRows({ routes, traces, workers }: Pick<Report, 'routes' | 'traces' | 'workers'>): string[] {
  const hasFailed = (loads: readonly { readonly failed: number }[]): boolean => loads.some(({ failed }) => failed > 0)
  return [
    ...routes.filter(({ rounds }) => hasFailed(rounds.flatMap(({ closed, open }) => [closed, open]))),
    ...traces.rows.filter(({ rounds }) => hasFailed(rounds.flatMap(({ steady, full }) => [steady, full]))),
    ...workers.filter(({ failed }) => failed > 0).map(({ capability }) => ({ name: capability })),
  ].map(({ name }) => name)
}

const UNITS: Record<Budget['unit'], { readonly suffix: string; readonly digits: number }> = {
  ms: { suffix: ' ms', digits: 3 },
  x: { suffix: 'x', digits: 2 },
  spans: { suffix: '', digits: 0 },
}
