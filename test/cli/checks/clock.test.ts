import { expect, test } from 'vitest'
import { checkClock } from '../../../src/cli/checks/clock.ts'

const NOW = Date.UTC(2026, 10, 24, 8, 0, 0)

test('a clock that agrees with the controller is well', () => {
  expect(checkClock(NOW, new Date(NOW - 1000).toUTCString())).toMatchObject({ status: 'ok', name: 'clock' })
})

test('a clock without a controller to compare it with is only reported', () => {
  expect(checkClock(NOW, undefined)).toMatchObject({
    status: 'ok',
    message: expect.stringContaining('2026-11-24T08:00'),
  })
})

test('clocks that are apart are a warning that names both', () => {
  const finding = checkClock(NOW, new Date(NOW - 3_600_000).toUTCString())
  expect(finding).toMatchObject({ status: 'warn', hint: expect.stringContaining('NTP') })
  expect(finding.message).toMatch(/08:00:00.*07:00:00/)
})
