// `npm run test:faults`: brings every fault of the matrix upon a controller and prints what is seen.
import { randomInt } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseOptions, USAGE, UsageError, type Options } from './options.ts'
import { runScenario, type Result } from './runner.ts'
import { SCENARIOS } from './scenarios.ts'
import { missLines, resultTable, summary } from './table.ts'

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(
    args,
    SCENARIOS.map(({ id }) => id),
  )
  if (options.action === 'help') {
    process.stdout.write(USAGE)
    return 0
  }
  if (options.action === 'list') {
    for (const { id, fault } of SCENARIOS) process.stdout.write(`${id.padEnd(4)} ${fault}\n`)
    return 0
  }
  if (process.platform !== 'linux')
    throw new UsageError('the faults need /proc, prlimit and signals: run them on Linux')
  return run(options)
}

async function run({ only, short, seed = randomInt(2 ** 32), amounts, json }: Options): Promise<number> {
  const chosen = SCENARIOS.filter(
    (one) => (only.length === 0 || only.includes(one.id)) && (!short || one.short === true),
  )
  process.stderr.write(`seed ${seed}\n`)
  const results: Result[] = []
  for (const scenario of chosen) {
    process.stderr.write(`${scenario.id} ${scenario.fault} … `)
    const result = await runScenario(scenario, seed, amounts)
    process.stderr.write(`${result.verdict} (${result.seconds} s)\n`)
    results.push(result)
  }
  await mkdir(dirname(json), { recursive: true })
  await writeFile(json, `${JSON.stringify({ seed, results }, undefined, 2)}\n`)
  process.stdout.write(resultTable(results) + missLines(results) + summary(results))
  return results.some(({ verdict }) => verdict === 'missed') ? 1 : 0
}

process.exitCode = await main(process.argv.slice(2)).catch((cause: unknown) => {
  if (!(cause instanceof UsageError)) throw cause
  process.stderr.write(`${cause.message}\n`)
  return 2
})
