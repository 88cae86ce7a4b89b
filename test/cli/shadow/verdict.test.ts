import { expect, test } from 'vitest'
import { readinessOf } from '../../../src/cli/shadow/verdict.ts'

const thresholds = { minCalls: 20, minDays: 3 }
const found = { isEnforced: false, standing: 0, decided: 20, days: 3 }

test.each([
  [{}, 'ready', '20 calls on 3 days, none would be denied'],
  [{ decided: 19 }, 'not enough data', '19 of 20 calls seen'],
  [{ days: 2 }, 'not enough data', 'calls on 2 of 3 days seen'],
  [{ decided: 0, days: 0 }, 'not enough data', '0 of 20 calls seen'],
  [{ standing: 1 }, 'not ready', '1 calls would be denied'],
  [{ standing: 1, decided: 1, days: 1 }, 'not ready', '1 calls would be denied'],
  [{ isEnforced: true, standing: 5, decided: 0 }, 'enforced', 'no caller of it is in shadow'],
])('%j is %s: %s', (differs, verdict, why) => {
  expect(readinessOf({ ...found, ...differs }, thresholds)).toEqual({ verdict, why })
})

test('thresholds of nothing are met by nothing', () => {
  expect(readinessOf({ ...found, decided: 0, days: 0 }, { minCalls: 0, minDays: 0 }).verdict).toBe('ready')
})
