// Lists the ten slowest tests at the end of a run: what a run costs stays in sight.
import { relative } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'

const LISTED = 10
/** A list of fast tests says nothing. */
const MIN_MS = 500

export type Timed = { readonly ms: number; readonly file: string; readonly name: string }

export class SlowestTests implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const text = slowestText(modules.flatMap(timedIn))
    if (text !== '') process.stdout.write(`\n${text}`)
  }
}

/** The list as it is printed; empty when every test was fast. */
export function slowestText(tests: readonly Timed[]): string {
  const slow = tests.filter(({ ms }) => ms >= MIN_MS).sort((a, b) => b.ms - a.ms)
  const lines = slow.slice(0, LISTED).map(({ ms, file, name }) => `  ${seconds(ms)} s  ${file} > ${name}\n`)
  return lines.length === 0 ? '' : `The slowest tests:\n${lines.join('')}`
}

function timedIn(module: TestModule): Timed[] {
  const file = relative(process.cwd(), module.moduleId)
  return [...module.children.allTests()].map((test) => ({
    ms: test.diagnostic()?.duration ?? 0,
    file,
    name: test.fullName,
  }))
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1).padStart(6)
}
