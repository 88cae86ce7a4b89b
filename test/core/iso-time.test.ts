import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isoTime } from '../../src/core/iso-time.ts'

test('writes every time as Date does, in any order', () => {
  const anyMs = fc.integer({ min: -62_167_219_200_000, max: 253_402_300_799_999 })
  fc.assert(fc.property(anyMs, (atMs) => isoTime(atMs) === new Date(atMs).toISOString()))
})

test('writes times within one second, and across its end', () => {
  const start = Date.UTC(2026, 10, 23, 23, 59, 59)
  for (const ms of [0, 7, 42, 999, 1000, 998]) expect(isoTime(start + ms)).toBe(new Date(start + ms).toISOString())
})
