// Runs scenarios one after another; after each the history checker compares what everybody saw.
import type { Violation } from './history-checker.ts'
import { openLab, type Amounts } from './lab.ts'
import type { Finding, Scenario } from './scenario.ts'

export type Result = Pick<Scenario, 'id' | 'fault' | 'expected'> & {
  readonly seen: string
  readonly figure: string
  readonly verdict: 'held' | 'missed' | 'not shown here'
  readonly misses: readonly string[]
  readonly late: readonly string[]
  readonly violations: readonly Violation[]
  readonly seed: number
  readonly seconds: number
}

/** At most so many violations are told: one fault often gives thousands. */
const MAX_TOLD = 5

export async function runScenario(scenario: Scenario, seed: number, amounts: Amounts): Promise<Result> {
  const { id, fault, expected } = scenario
  const about = { id, fault, expected, seed, violations: [] }
  if ('notShown' in scenario) {
    const none = { figure: '-', misses: [], late: [], seconds: 0 }
    return { ...about, ...none, seen: `not shown here: ${scenario.notShown}`, verdict: 'not shown here' }
  }
  const startMs = performance.now()
  const { finding, violations } = await inLab(scenario, seed, amounts)
  const seconds = Math.round((performance.now() - startMs) / 100) / 10
  const isHeld = finding.misses.length + finding.late.length === 0 && violations.length === 0
  return { ...about, ...finding, violations, seconds, verdict: isHeld ? 'held' : 'missed' }
}

type Runnable = Extract<Scenario, { run: unknown }>

async function inLab({ run }: Runnable, seed: number, amounts: Amounts) {
  const lab = await openLab(seed, amounts)
  try {
    const finding = await run(lab).catch(failure)
    const violations = await lab.check()
    return { finding, violations: violations.slice(0, MAX_TOLD) }
  } finally {
    await lab.close()
  }
}

function failure(cause: unknown): Finding {
  const message = cause instanceof Error ? cause.message : String(cause)
  return { seen: 'the scenario ended early', figure: '-', misses: [message], late: [] }
}
