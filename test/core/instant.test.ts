import { expect, test } from 'vitest'
import { formatInstant, parseInstant } from '../../src/core/instant.ts'

for (const [text, ns] of Object.entries({
  '1970-01-01T00:00:00Z': 0n,
  '2026-11-23T10:00:00Z': 1_795_428_000_000_000_000n,
  '2026-11-23T10:00:00.000000001Z': 1_795_428_000_000_000_001n,
  '2026-11-23T10:00:00.5Z': 1_795_428_000_500_000_000n,
  '2286-11-20T17:46:39.999999999Z': 9_999_999_999_999_999_999n,
})) {
  test(`${text} is read to the nanosecond, and written as it was`, () => {
    expect(parseInstant(text)).toBe(ns)
    expect(formatInstant(ns)).toBe(text)
  })
}

for (const text of [
  '',
  'tomorrow',
  '2026-11-23',
  '2026-11-23T10:00:00',
  '2026-11-23T10:00:00+01:00',
  '2026-11-23T10:00:00.1234567890Z',
  '2026-02-30T10:00:00Z',
  '2026-11-23T24:00:00Z',
  '1969-12-31T23:59:59Z',
  '2286-11-20T17:46:40Z',
  '9999-12-31T00:00:00Z',
  ' 2026-11-23T10:00:00Z',
]) {
  test(`${JSON.stringify(text)} is not an instant`, () => {
    expect(parseInstant(text)).toBeUndefined()
  })
}
