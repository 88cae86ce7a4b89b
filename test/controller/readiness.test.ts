// What /readyz says of each part.
import { expect, test } from 'vitest'
import { readinessOf, type ReadinessSources } from '../../src/controller/readiness.ts'

const SOUND: ReadinessSources = {
  policy: () => ({ ok: true }),
  audit: () => ({ ok: true }),
  svid: () => ({ notBeforeMs: 1000, notAfterMs: 2000 }),
  svidFault: () => undefined,
  slos: () => undefined,
  mesh: () => undefined,
  isLeaving: () => false,
  now: () => 1500,
}
const certificate = (nowMs: number) =>
  readinessOf({ ...SOUND, now: () => nowMs }).checks.find(({ name }) => name === 'certificate')

test('a certificate is ok from its first instant to its last', () => {
  expect([1000, 1500, 1999].map(certificate)).toEqual(new Array(3).fill({ name: 'certificate', ok: true }))
})

test('a certificate that is not valid yet is not ok, nor is one that has expired', () => {
  expect(certificate(999)).toEqual({
    name: 'certificate',
    ok: false,
    reason: "the controller's certificate is not valid before 1970-01-01T00:00:01.000Z; check the clock",
  })
  expect(certificate(2000)).toEqual({
    name: 'certificate',
    ok: false,
    reason: "the controller's certificate has expired",
  })
  expect(readinessOf({ ...SOUND, now: () => 999 }).status).toBe('not_ready')
})

test('what is to be known of a part that is ok is said, and turns nothing red', () => {
  const reason = 'the policy folder is not in force'
  const { status, checks } = readinessOf({ ...SOUND, policy: () => ({ ok: true, reason }) })
  expect([status, checks[0]]).toEqual(['ready', { name: 'policy', ok: true, reason }])
})
