// `npm run bench`: the cost of a decision, and of the whole pipeline compared with the same server that only forwards.
// Prints tables (or JSON) and the budgets (docs/performance.md); a missed budget is a finding, not a failure.
import { inspect } from 'node:util'
import { holdAgainstBudgets } from './bench/budgets.ts'
import { openLab } from './bench/lab.ts'
import { measurePolicy, measureRoutes, type MeasureOptions } from './bench/measure.ts'
import { measureOverload, overloadRatios } from './bench/measure-overload.ts'
import { measureRefusals } from './bench/measure-refusals.ts'
import { measureReloads } from './bench/measure-reload.ts'
import { measureWorkers } from './bench/measure-workers.ts'
import { measureTraces, type TraceMeasurement } from './bench/measure-traces.ts'
import { CONNECTIONS, parseOptions, USAGE, UsageError, type Options } from './bench/options.ts'
import { failedRows, machine, tables, type Report } from './bench/report.ts'
import { OVERLOAD, POLICY, REFUSALS, RELOAD, ROWS, TRACES, WORKERS } from './bench/rows.ts'
import { lookForJaeger, openTraceLab } from './bench/trace-lab.ts'
import { isStop, say } from './demo/errors.ts'

import { stopOnSignal } from './demo/stop.ts'

/** @returns exit code: 0, 1 after a failure or when it was stopped, 2 for wrong usage */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options === 'help') {
    process.stdout.write(USAGE)
    return 0
  }
  if (process.platform !== 'linux')
    throw new UsageError('the bench reads CPU times from /proc, so it runs only on Linux')
  const report = await run(options, stopOnSignal())
  process.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : tables(report))
  return failedRows(report).length === 0 ? 0 : 1
}

async function run(options: Options, stop: AbortSignal): Promise<Report> {
  const { only, rounds, amounts, quick } = options
  const wants = (name: string): boolean => only.length === 0 || only.includes(name)
  const measure = { rounds, amounts, connections: CONNECTIONS, say }
  const workers = wants(WORKERS) ? await measureWorkers({ calls: amounts.workers, say, stop }) : []
  const { policy, routes } = await runRows(options, wants, measure, stop)
  const refusals = wants(REFUSALS) ? await measureRefusals({ ...measure, amounts: amounts.refusals, stop }) : []
  const reloads = wants(RELOAD) ? await measureReloads({ rounds, quick, say }) : []
  const traces = wants(TRACES) ? await runTraces(measure, stop) : { rows: [] }
  const overload = only.includes(OVERLOAD) ? await measureOverload({ amounts: amounts.overload, say, stop }) : []
  return {
    date: new Date().toISOString(),
    machine: machine(),
    rounds,
    quick,
    rate: amounts.rate,
    connections: CONNECTIONS,
    policy,
    routes,
    refusals,
    traces,
    workers,
    overload,
    reloads,
    budgets: holdAgainstBudgets({
      policy,
      routes,
      refusals,
      traces: traces.rows,
      overload: overloadRatios(overload),
      reloads,
    }),
  }
}

type Wants = (name: string) => boolean

async function runRows({ cpuProf }: Options, wants: Wants, measure: MeasureOptions, stop: AbortSignal) {
  const rows = ROWS.filter(({ name }) => wants(name))
  if (rows.length === 0 && !wants(POLICY)) return { policy: [], routes: [] }
  const opa = wants(POLICY) || rows.some(({ needs }) => needs.opa)
  say(`starting ${rows.length} servers …`)
  await using lab = await openLab({ rows, opa, cpuProf, stop })
  const policy = wants(POLICY) ? await measurePolicy(lab, measure) : []
  return { policy, routes: await measureRoutes(lab, measure) }
}

/** Runs after the other rows, when their servers have stopped. Without Jaeger the result is only the reason. */
async function runTraces(measure: MeasureOptions, stop: AbortSignal): Promise<TraceMeasurement> {
  const jaeger = await lookForJaeger()
  if ('unavailable' in jaeger) return { ...jaeger, rows: [] }
  say('starting Jaeger, and three controllers with a worker each …')
  await using lab = await openTraceLab({ ...jaeger, stop })
  return await measureTraces(lab, measure)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (cause: unknown) {
  if (cause instanceof UsageError) say(`${cause.message}\n${USAGE}`)
  else if (!isStop(cause)) say(inspect(cause))
  process.exitCode = cause instanceof UsageError ? 2 : 1
}
