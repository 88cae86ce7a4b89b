// `npm run bench`: what a decision costs, and what the whole pipeline costs over the same server only forwarding. Prints
// tables (or JSON) and the budgets of design section 8; a missed budget is a finding, not a failure.
import { inspect } from 'node:util'
import { holdAgainstBudgets } from './bench/budgets.ts'
import { openLab } from './bench/lab.ts'
import { measurePolicy, measureRoutes } from './bench/measure.ts'
import { CONNECTIONS, parseOptions, USAGE, UsageError, type Options } from './bench/options.ts'
import { failedRows, machine, tables, type Report } from './bench/report.ts'
import { POLICY, ROWS } from './bench/rows.ts'
import { isStop, say } from './demo/errors.ts'

import { stopOnSignal } from './demo/stop.ts'

/** @returns exit code: 0, 1 when something went wrong or it was stopped, 2 for wrong usage */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options === 'help') {
    process.stdout.write(USAGE)
    return 0
  }
  if (process.platform !== 'linux') throw new UsageError('the bench reads CPU times from /proc: it runs on Linux only')
  const report = await run(options, stopOnSignal())
  process.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : tables(report))
  return failedRows(report.routes).length === 0 ? 0 : 1
}

async function run({ only, rounds, amounts, quick, cpuProf }: Options, stop: AbortSignal): Promise<Report> {
  const wants = (name: string): boolean => only.length === 0 || only.includes(name)
  const rows = ROWS.filter(({ name }) => wants(name))
  const opa = wants(POLICY) || rows.some(({ needs }) => needs.opa)
  say(`starting ${rows.length} servers …`)
  await using lab = await openLab({ rows, opa, cpuProf, stop })
  const measure = { rounds, amounts, connections: CONNECTIONS, say }
  const policy = wants(POLICY) ? await measurePolicy(lab, measure) : []
  const routes = await measureRoutes(lab, measure)
  return {
    date: new Date().toISOString(),
    machine: machine(),
    rounds,
    quick,
    rate: amounts.rate,
    connections: CONNECTIONS,
    policy,
    routes,
    budgets: holdAgainstBudgets({ policy, routes }),
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (cause: unknown) {
  if (cause instanceof UsageError) say(`${cause.message}\n${USAGE}`)
  else if (!isStop(cause)) say(inspect(cause))
  process.exitCode = cause instanceof UsageError ? 2 : 1
}
