// Quantiles of the buckets against exact ones.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LatencyHistogram } from '../../../src/controller/slo/latency-histogram.ts'

const MINUTE = 60_000

test('a quantile is at least the exact one, and above it by at most a quarter', () => {
  const times = fc.array(fc.double({ min: 1, max: 600_000, noNaN: true }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(times, fc.constantFrom(0.5, 0.95, 0.99), (ms, q) => {
      const histogram = new LatencyHistogram(0)
      for (const one of ms) histogram.add(one, 0)
      const exact = [...ms].sort((a, b) => a - b)[Math.ceil(q * ms.length) - 1]!
      const found = histogram.quantile(q, 0)!
      expect(found).toBeGreaterThanOrEqual(exact * (1 - 1e-9))
      expect(found).toBeLessThanOrEqual(exact * 1.25 * (1 + 1e-9))
    }),
  )
})

test('there is none without a call, nor an hour after the last one', () => {
  const histogram = new LatencyHistogram(0)
  expect(histogram.quantile(0.5, 0)).toBeUndefined()
  histogram.add(0, 0)
  expect(histogram.quantile(0.5, 59 * MINUTE)).toBe(1)
  expect(histogram.quantile(0.5, 61 * MINUTE)).toBeUndefined()
})
