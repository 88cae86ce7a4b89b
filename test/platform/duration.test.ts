import { expect, test } from 'vitest'
import { parseDuration } from '../../src/platform/duration.ts'

test.each([
  ['1ms', 1],
  ['30s', 30_000],
  ['1.5h', 5_400_000],
  ['10m', 600_000],
  ['7d', 604_800_000],
])('%s is %i ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds)
})

test.each(['', '10', 's', '0s', '-1s', '1 h', '1H', '1h30m', '1e3s', '0.1ms', `${'9'.repeat(20)}d`])(
  '"%s" is not a duration',
  (text) => {
    expect(() => parseDuration(text)).toThrow('must be a duration such as 30s, 10m, 1h or 7d')
  },
)
