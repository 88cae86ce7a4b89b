// The short form of the fault harness: `npm run test:faults` runs all of it, with more calls and kills.
import { randomInt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { SHORT_AMOUNTS } from './options.ts'
import { runScenario } from './runner.ts'
import { SCENARIOS } from './scenarios.ts'

const seed = Number(process.env['CRANK_TEST_SEED'] ?? randomInt(2 ** 32))

describe(`with the seed ${seed}`, () => {
  for (const scenario of SCENARIOS.filter(({ short }) => short === true)) {
    test(`${scenario.id}: ${scenario.fault}`, async () => {
      const { misses, violations, seen } = await runScenario(scenario, seed, SHORT_AMOUNTS)
      expect({ misses, violations }, seen).toEqual({ misses: [], violations: [] })
    })
  }
})
