// Prints a run as tables. Every figure is a median; the two most important ones show all rounds.
import { cpus } from 'node:os'
import { cpuOfAll } from './cpu.ts'
import { isFailed, type Budget } from './judge.ts'
import type { PolicyRow, RouteRow } from './measure.ts'
import type { TraceMeasurement } from './measure-traces.ts'
import { bodyTable, type BodyRow } from './measure-bodies.ts'
import { cachedTable, type CachedRow } from './measure-cached.ts'
import { eventTable, type EventRow } from './measure-events.ts'
import { manifestTable, type ManifestRow } from './measure-manifests.ts'
import type { RateRow } from './measure-rates.ts'
import { idleTable, type IdleRow } from './measure-idle.ts'
import { providersTable, type ProviderRow } from './measure-providers.ts'
import { rotationTable, type RotationRow } from './measure-rotation.ts'
import { overloadTable, type OverloadRow } from './measure-overload.ts'
import { refusalTable, type RefusalRow } from './measure-refusals.ts'
import { rateTable } from './report-rates.ts'
import { reloadTable, type ReloadRow } from './measure-reload.ts'
import { traceTables } from './report-traces.ts'
import { median } from './statistics.ts'
import { workerTable, type WorkerRow } from './measure-workers.ts'
import { fixed, interval, latencyCells, spread, table } from './table.ts'

export type Report = {
  readonly date: string
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string }
  readonly rounds: number
  readonly quick: boolean
  readonly rate: number
  readonly connections: number
  /** Settings of the controllers of all rows, over their own. */
  readonly set: Readonly<Record<string, string>>
  /** Rows that were asked for and cannot be measured here. */
  readonly skipped: readonly Skipped[]
  readonly policy: readonly PolicyRow[]
  readonly manifests: readonly ManifestRow[]
  readonly routes: readonly RouteRow[]
  readonly rates: readonly RateRow[]
  readonly bodies: readonly BodyRow[]
  readonly cached: readonly CachedRow[]
  readonly events: readonly EventRow[]
  readonly refusals: readonly RefusalRow[]
  readonly traces: TraceMeasurement
  readonly workers: readonly WorkerRow[]
  readonly overload: readonly OverloadRow[]
  readonly providers: readonly ProviderRow[]
  readonly idle: readonly IdleRow[]
  readonly rotation: readonly RotationRow[]
  readonly reloads: readonly ReloadRow[]
  readonly budgets: readonly Budget[]
}

export type Skipped = { readonly rows: readonly string[]; readonly why: string }

/** The machine of the measurement. */
export function machine(): Report['machine'] {
  const all = cpus()
  return { cpu: all[0]?.model ?? 'unknown', cores: all.length, node: process.version }
}

/** The tables as text. */
export function tables(report: Report): string {
  const { date, machine: on, rounds, rate, connections } = report
  return [
    `${date}, ${on.cores} x ${on.cpu}, Node ${on.node}; ${rounds} interleaved rounds, medians [95 % interval, from 6 rounds on]; CPU in us per request`,
    'Embedded engine, current Rego and no decision cache, unless a row says otherwise',
    ...Object.entries(report.set).map(([name, value]) => `Every controller has ${name}=${value}`),
    '',
    ...skippedLines(report.skipped),
    ...policyTable(report.policy),
    ...manifestTable(report.manifests),
    ...routeTables(report.routes, { rate, connections }),
    ...rateTable(report.rates),
    ...bodyTable(report.bodies),
    ...cachedTable(report.cached),
    ...eventTable(report.events),
    ...refusalTable(report.refusals),
    ...traceTables(report.traces),
    ...workerTable(report.workers),
    ...overloadTable(report.overload),
    ...providersTable(report.providers),
    ...idleTable(report.idle),
    ...rotationTable(report.rotation),
    ...reloadTable(report.reloads),
    ...budgetTable(report.budgets),
    ...failedRows(report).map((name) => `NOT VALID: the row ${name} had answers other than 200`),
    ...failedBudgets(report).map(({ what }) => `FAILED: ${what}`),
    '',
  ].join('\n')
}

/** What is not measured here, and why. */
export function skippedLines(skipped: readonly Skipped[]): string[] {
  return skipped.map(({ rows, why }) => `SKIPPED ${rows.join(', ')}: ${why}`)
}

/** Budgets that fail the run. The figures of a quick run mean nothing. */
export function failedBudgets({ quick, budgets }: Pick<Report, 'quick' | 'budgets'>): Budget[] {
  return quick ? [] : budgets.filter(isFailed)
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

const PARTS = ['opa', 'worker', 'collector', 'generator'] as const

function routeTables(rows: readonly RouteRow[], at: { rate: number; connections: number }): string[] {
  if (rows.length === 0) return []
  const closed = rows.map(({ name, rounds }) => [
    name,
    spread(
      rounds.map((round) => round.closed.requests / round.closed.seconds),
      0,
    ),
    ...latencyCells(rounds.map((round) => round.closed.latencyMs)),
    spread(
      rounds.map((round) => cpuOfAll(round.closed.cpuUs)),
      1,
    ),
    spread(
      rounds.map((round) => round.closed.cpuUs['controller'] ?? Number.NaN),
      1,
    ),
    ...PARTS.map((part) => fixed(median(rounds.map((round) => round.closed.cpuUs[part] ?? Number.NaN)), 1)),
    rounds.map((round) => fixed(round.closed.cpuUs['controller'] ?? Number.NaN, 1)).join(' '),
  ])
  const open = rows.map(({ name, rounds }) => [
    name,
    ...latencyCells(rounds.map((round) => round.open.latencyMs)),
    spread(
      rounds.map((round) => round.open.cpuUs['controller'] ?? Number.NaN),
      1,
    ),
    rounds.map((round) => fixed(round.open.latencyMs.p95, 2)).join(' '),
  ])
  return [
    ...rows.map(({ name, what }) => `${name.padEnd(19)}${what}`),
    '',
    `Closed loop, ${at.connections} connections (latencies are those of a saturated server)`,
    ...table(
      [
        'row',
        'req/s',
        'p50 ms',
        'p95 ms',
        'p99 ms',
        'CPU all',
        'CPU controller',
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
    measured === null
      ? '-'
      : `${fixed(measured, UNITS[unit].digits)}${UNITS[unit].suffix}${interval(rounds, UNITS[unit].digits)}`,
    mark,
    rounds.map((round) => fixed(round, UNITS[unit].digits)).join(' '),
  ])
  return ['Budgets (docs/performance.md)', ...table(['what', 'budget', 'measured', '', 'every round'], cells)]
}

/** Rows whose figures are not valid. */
export function failedRows({
  routes,
  rates,
  bodies,
  cached,
  traces,
  workers,
  providers,
  rotation,
}: Pick<Report, 'routes' | 'rates' | 'bodies' | 'cached' | 'traces' | 'workers' | 'providers' | 'rotation'>): string[] {
  const hasFailed = (loads: readonly { readonly failed: number }[]): boolean => loads.some(({ failed }) => failed > 0)
  return [
    ...routes.filter(({ rounds }) => hasFailed(rounds.flatMap(({ closed, open }) => [closed, open]))),
    ...rates.filter(({ slices }) => hasFailed(slices.flatMap((slice) => Object.values(slice)))),
    ...bodies
      .filter(({ controller, forward, nginx }) => hasFailed([...controller, ...forward, ...nginx]))
      .map(({ direction }) => ({ name: `bodies ${direction}` })),
    ...cached.filter(({ rounds }) => hasFailed(rounds)).map(({ name }) => ({ name: `cached ${name}` })),
    ...traces.rows.filter(({ rounds }) => hasFailed(rounds.flatMap(({ steady, full }) => [steady, full]))),
    ...workers.filter(({ failed }) => failed > 0).map(({ capability }) => ({ name: capability })),
    ...providers.filter(({ rounds }) => hasFailed(rounds)).map((row) => ({ name: `${row.providers} providers` })),
    ...rotation.filter(({ rounds }) => hasFailed(rounds)).map(({ name }) => ({ name: `rotation ${name}` })),
  ].map(({ name }) => name)
}

const UNITS: Record<Budget['unit'], { readonly suffix: string; readonly digits: number }> = {
  ms: { suffix: ' ms', digits: 3 },
  x: { suffix: 'x', digits: 2 },
  spans: { suffix: '', digits: 0 },
  MiB: { suffix: ' MiB', digits: 0 },
  '%': { suffix: ' %', digits: 2 },
}
