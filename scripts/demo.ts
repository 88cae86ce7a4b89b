// `npm run demo`: a controller and two workers on real mTLS, and three calls, each shown in the answer, audit log and
// metrics.
// bootstrap.js starts it after it has installed the dependencies and Node 24.
import { inspect } from 'node:util'
import { oddNames } from '../src/platform/setting-names.ts'
import { DemoError, isStop, say } from './demo/errors.ts'
import { parseOptions, USAGE, type Options } from './demo/options.ts'
import { startMesh } from './demo/mesh.ts'
import { printResults, printWaysOn, toJson } from './demo/report.ts'
import { isGood, makeCalls } from './demo/results.ts'
import { stopOnSignal, untilStopped } from './demo/stop.ts'
import { areFound, findTraces } from './demo/traces.ts'

/** Runs the demo. @returns exit code: 0, 1 after a failure, 2 for wrong usage */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options === 'help') {
    process.stdout.write(USAGE)
    return 0
  }
  const [fault] = oddNames(process.env).faults
  if (fault !== undefined) throw new DemoError(fault, { exitCode: 2 })
  const stop = stopOnSignal()
  try {
    return await demonstrate(options, stop)
  } catch (cause: unknown) {
    // Stopped before there was a result.
    if (isStop(cause)) return options.once ? 1 : 0
    throw cause
  }
}

async function demonstrate(options: Options, stop: AbortSignal): Promise<number> {
  await using mesh = await startMesh(options, stop)
  const { jaeger } = mesh
  const results = await mesh.unlessBroken(makeCalls(mesh))
  const traces = jaeger && (await mesh.unlessBroken(findTraces(jaeger, results, stop)))
  if (options.json) process.stdout.write(`${JSON.stringify(toJson(results, traces))}\n`)
  else printResults(results, jaeger && traces && { jaeger, traces })
  if (options.once) return isGood(results) && (traces === undefined || areFound(traces)) ? 0 : 1
  if (!options.json) printWaysOn(mesh, results)
  await mesh.unlessBroken(untilStopped(stop))
  say('Stopping …')
  return 0
}

let exitCode = 1
try {
  exitCode = await main(process.argv.slice(2))
} catch (cause: unknown) {
  say(cause instanceof DemoError ? cause.message : inspect(cause))
  if (cause instanceof DemoError) exitCode = cause.exitCode
}
// A wait that ended early because a process died may still hold a timer.
process.exit(exitCode)
