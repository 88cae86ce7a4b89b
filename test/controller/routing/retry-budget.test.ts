// The budget against a plain list of what happened when.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RetryBudget } from '../../../src/controller/routing/retry-budget.ts'

const LEAST_RETRIES = 10

test('with little traffic ten retries in ten seconds are allowed', () => {
  const budget = new RetryBudget()
  budget.called(0)
  const taken = Array.from({ length: 12 }, () => budget.take(0)).filter(Boolean)
  expect(taken).toHaveLength(LEAST_RETRIES)
  expect([budget.take(9_999), budget.take(10_000)]).toEqual([false, true])
})

test('a fifth of the calls of the last ten seconds may be sent again', () => {
  const event = fc.record({ ms: fc.nat({ max: 3000 }), calls: fc.nat({ max: 60 }), retries: fc.nat({ max: 20 }) })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), fc.nat({ max: 1e9 }), (events, startMs) => {
      const budget = new RetryBudget()
      const noted: { second: number; kind: 'call' | 'retry' }[] = []
      let nowMs = startMs
      for (const { ms, calls, retries } of events) {
        nowMs += ms
        const second = Math.floor(nowMs / 1000)
        const count = (kind: 'call' | 'retry') =>
          noted.filter((one) => one.kind === kind && one.second > second - 10).length
        for (let i = 0; i < calls; i++) {
          budget.called(nowMs)
          noted.push({ second, kind: 'call' })
        }
        for (let i = 0; i < retries; i++) {
          const allowed = count('retry') < Math.max(LEAST_RETRIES, Math.floor(count('call') / 5))
          expect(budget.take(nowMs)).toBe(allowed)
          if (allowed) noted.push({ second, kind: 'retry' })
        }
      }
    }),
    { numRuns: 200 },
  )
})
