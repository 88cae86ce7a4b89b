import { afterEach, expect, test, vi } from 'vitest'
import { parseSince } from '../../src/cli/option-values.ts'

afterEach(() => vi.unstubAllEnvs())

const NOW = Date.parse('2026-11-30T12:00:00Z')

test.each([
  ['90s', '2026-11-30T11:58:30Z'],
  ['2h', '2026-11-30T10:00:00Z'],
  ['2026-11-29', '2026-11-29T00:00:00Z'],
  ['2026-11-29T00:00:00', '2026-11-29T00:00:00Z'],
  ['2026-11-29T08:30', '2026-11-29T08:30:00Z'],
  ['2026-11-29 08:30:00.5', '2026-11-29T08:30:00.500Z'],
  ['2026-11-29T00:00:00Z', '2026-11-29T00:00:00Z'],
  ['2026-11-29T00:00:00+02:00', '2026-11-28T22:00:00Z'],
])('%s is %s, whatever the time zone of this machine', (text, instant) => {
  for (const zone of ['UTC', 'America/New_York', 'Asia/Tokyo']) {
    vi.stubEnv('TZ', zone)
    expect(new Date(parseSince(text, NOW)).toISOString()).toBe(new Date(instant).toISOString())
  }
})

test.each(['', 'soon', '7', '2026-11', '2026-13-01', '2026-11-29T', '2026-11-29T00:00:00 CET', '-5m'])(
  'refuses %j and says what is allowed',
  (text) => {
    expect(() => parseSince(text, NOW)).toThrow(/must be like 90s, .*UTC where no offset is given/)
  },
)
