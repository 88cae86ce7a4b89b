import { expect, test } from 'vitest'
import { CallerKeys } from '../../../src/controller/idempotency/caller-keys.ts'

const MINUTE_MS = 60_000

test('an identity may use so many keys an hour, and others are not affected', () => {
  let nowMs = 0
  const keys = new CallerKeys(() => nowMs, 2)
  keys.add('a')
  nowMs += 30 * MINUTE_MS
  keys.add('a')
  expect(keys.has('a')).toBe(false)
  expect(keys.has('b')).toBe(true)
  nowMs += 29 * MINUTE_MS
  expect(keys.has('a')).toBe(false)
  nowMs += MINUTE_MS
  expect(keys.has('a')).toBe(true)
  keys.add('a')
  expect(keys.has('a')).toBe(false)
  nowMs += 24 * 60 * MINUTE_MS
  expect(keys.has('a')).toBe(true)
})
