// `npm run bench`: the cost of a decision, and of the whole pipeline compared with the same server that only forwards.
// Prints tables (or JSON) and the budgets (docs/performance.md). A run fails where a ratio misses its budget for certain;
// any other miss is a finding.
import { inspect } from 'node:util'
import { holdAgainstBudgets } from './bench/budgets.ts'
import { estimateSeconds, inWords } from './bench/estimate.ts'
import { openLab } from './bench/lab.ts'
import { measurePolicy, measureRoutes, warmUp, type MeasureOptions } from './bench/measure.ts'
import { measureBodies } from './bench/measure-bodies.ts'
import { measureCached } from './bench/measure-cached.ts'
import { measureEvents } from './bench/measure-events.ts'
import { measureManifests } from './bench/measure-manifests.ts'
import { measureOverload, overloadRatios } from './bench/measure-overload.ts'
import { measureRates } from './bench/measure-rates.ts'
import { measureIdle } from './bench/measure-idle.ts'
import { addedMiB, measureProviders, providerRatios } from './bench/measure-providers.ts'
import { measureRefusals } from './bench/measure-refusals.ts'
import { measureReloads } from './bench/measure-reload.ts'
import { measureRotation } from './bench/measure-rotation.ts'
import { measureWorkers } from './bench/measure-workers.ts'
import { measureTraces, type TraceMeasurement } from './bench/measure-traces.ts'
import { CONNECTIONS, parseOptions, USAGE, UsageError, type Options } from './bench/options.ts'
import { lookForNginx, type Nginx } from './bench/peers/find-nginx.ts'
import { failedBudgets, failedRows, machine, skippedLines, tables, type Report, type Skipped } from './bench/report.ts'
import { ROWS, type Row, type Wants } from './bench/rows.ts'
import { lookForJaeger, openTraceLab } from './bench/trace-lab.ts'
import { isStop, say } from './demo/errors.ts'

import { stopOnSignal } from './demo/stop.ts'

/** @returns exit code: 0, 1 after a failure, a missed ratio or a stop, 2 for wrong usage */
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
  return failedRows(report).length + failedBudgets(report).length === 0 ? 0 : 1
}

async function run(options: Options, stop: AbortSignal): Promise<Report> {
  const { only, rounds, amounts, quick, set } = options
  const asked: Wants = (name) => only.includes(name) || (only.length === 0 && name !== 'overload')
  const nginx = await lookForNginx()
  const skipped = 'unavailable' in nginx ? skippedWithout(nginx.unavailable, asked) : []
  const wants: Wants = (name) => asked(name) && !skipped.some((part) => part.rows.includes(name))
  const rows = ROWS.filter(({ name, rates }) => wants(name) || (rates === true && wants('rates')))
  for (const line of skippedLines(skipped)) say(line)
  say(`this takes about ${inWords(estimateSeconds(options, rows, wants))} on two cores that do nothing else`)
  const measure = { rounds, amounts, connections: CONNECTIONS, say }
  const plan: Plan = { options, rows, wants, measure, ...('unavailable' in nginx ? {} : { nginx }) }
  const workers = wants('workers') ? await measureWorkers({ calls: amounts.workers, say, stop }) : []
  const { policy, routes, rates } = await runRows(plan, stop)
  const bodies =
    plan.nginx && wants('bodies')
      ? await measureBodies({ ...measure, nginx: plan.nginx, amounts: amounts.bodies, stop })
      : []
  const cached =
    plan.nginx && wants('cached')
      ? await measureCached({ ...measure, nginx: plan.nginx, amounts: amounts.cached, set, stop })
      : []
  const events = wants('events') ? await measureEvents({ ...measure, amounts: amounts.events, stop }) : []
  const manifests = wants('manifests') ? await measureManifests({ ...measure, amounts: amounts.manifests, stop }) : []
  const refusals = wants('refusals') ? await measureRefusals({ ...measure, amounts: amounts.refusals, stop }) : []
  const reloads = wants('reload') ? await measureReloads({ rounds, quick, say }) : []
  const traces = wants('traces') ? await runTraces(measure, stop) : { rows: [] }
  const providers = wants('providers') ? await measureProviders({ ...measure, amounts: amounts.providers, stop }) : []
  const idle = wants('idle') ? await measureIdle({ ...measure, amounts: amounts.idle, stop }) : []
  const rotation = wants('rotation') ? await measureRotation({ ...measure, set, stop }) : []
  const overload = wants('overload') ? await measureOverload({ amounts: amounts.overload, say, stop }) : []
  const measured = { policy, manifests, routes, rates, bodies, cached, refusals }
  return {
    date: new Date().toISOString(),
    machine: machine(),
    rounds,
    quick,
    rate: amounts.rate,
    connections: CONNECTIONS,
    set,
    skipped,
    ...measured,
    events,
    traces,
    workers,
    overload,
    providers,
    idle,
    rotation,
    reloads,
    budgets: holdAgainstBudgets({
      ...measured,
      traces: traces.rows,
      overload: overloadRatios(overload),
      providers: { at: (count) => providerRatios(providers, count), addedMiB: addedMiB(providers) },
      idle: idle.flatMap((row) => row.rounds),
      rotation,
      reloads,
    }),
  }
}

type Plan = {
  readonly options: Options
  readonly rows: readonly Row[]
  readonly wants: Wants
  readonly measure: MeasureOptions
  readonly nginx?: Nginx
}

function skippedWithout(why: string, asked: Wants): Skipped[] {
  const peers = ROWS.filter(({ server }) => server === 'nginx').map(({ name }) => name)
  const rows = [...peers, 'bodies' as const, 'cached' as const].filter(asked)
  return rows.length === 0 ? [] : [{ rows, why }]
}

async function runRows({ options, rows, wants, measure, nginx }: Plan, stop: AbortSignal) {
  if (rows.length === 0 && !wants('policy')) return { policy: [], routes: [], rates: [] }
  const opa = wants('policy') || rows.some(({ needs }) => needs.opa)
  say(`starting ${rows.length} servers …`)
  await using lab = await openLab({ rows, opa, profile: options, set: options.set, nginx, stop })
  if (options.perf) for (const { row, pids } of lab.targets) say(`${row.name}: process ${pids['controller'] ?? '?'}`)
  const policy = wants('policy') ? await measurePolicy(lab, measure) : []
  await warmUp(lab, measure)
  const routes = await measureRoutes(lab, { ...measure, wants })
  return { policy, routes, rates: wants('rates') ? await measureRates(lab, measure) : [] }
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
