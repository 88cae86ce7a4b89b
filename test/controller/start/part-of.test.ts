import fc from 'fast-check'
import { expect, test } from 'vitest'
import { partOf } from '../../../src/controller/start/part-of.ts'

test('the parts of a limit add up to it, differ by one at most, and are at least 1', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 64 }), (limit, of) => {
      const parts = Array.from({ length: of }, (_, slot) => partOf(limit, { slot, of }))
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(Math.max(limit, of))
      expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1)
    }),
  )
})

test('one process has all of it, and no limit has no parts', () => {
  expect([partOf(7, undefined), partOf(Infinity, { slot: 1, of: 2 })]).toEqual([7, Infinity])
})
