import { describe, expect, test } from 'vitest'
import { exceptionId } from '../../../src/policy/data/exception-entries.ts'
import { parseExceptions } from '../../../src/policy/data/exceptions.ts'

const A = 'spiffe://crank.local/worker/a'
const NOW_MS = Date.UTC(2026, 10, 24, 10)
const rest = { expires_after: 1795514400000000001n, reason: 'r', owner: 'o', created_at: '2026-11-24T10:00:00Z' }

describe('exceptions by name', () => {
  test('are one for everything, or one for each capability', () => {
    const { entries, faults } = parseExceptions({
      [A]: { temporary_allow_all: true, ...rest },
      [`${A}/b`]: { capabilities: ['c:d', 'a:b', 'c:d'], ...rest },
    })
    expect(faults).toEqual([])
    expect(entries.map(({ name, all, capabilities }) => [name, all, capabilities])).toEqual([
      [`${A}#*`, true, []],
      [`${A}/b#c:d`, false, ['c:d']],
      [`${A}/b#a:b`, false, ['a:b']],
    ])
    expect(entries[0]).toMatchObject({ expiresAfterNs: 1795514400000000001n, owner: 'o', reason: 'r', spiffeId: A })
  })

  test('have a stable stand-in of eight hex digits', () => {
    expect(exceptionId(`${A}#*`)).toMatch(/^[0-9a-f]{8}$/)
    expect(exceptionId(`${A}#*`)).toBe(exceptionId(`${A}#*`))
    expect(exceptionId(`${A}#*`)).not.toBe(exceptionId(`${A}#a:b`))
  })

  test('are none in a file that holds no object', () => {
    expect(parseExceptions([])).toEqual({ entries: [], faults: [{ path: '', reason: 'must be an object' }] })
  })

  test('of no SPIFFE ID are none', () => {
    const { entries, faults } = parseExceptions({ '*': { temporary_allow_all: true, ...rest } })
    expect(entries).toEqual([])
    expect(faults).toMatchObject([{ path: '["*"]', reason: expect.stringContaining('must be a SPIFFE ID') }])
  })
})

describe('an end that is not a time of this century', () => {
  test.each([
    ['seconds', 1795514400n],
    ['milliseconds', 1795514400000n],
    ['microseconds', 1795514400000000n],
  ])('in %s is reported as in another unit, not as an expired exception', (_unit, expires_after) => {
    const { entries, faults } = parseExceptions({ [A]: { temporary_allow_all: true, ...rest, expires_after } })
    expect(entries).toEqual([])
    expect(faults).toEqual([{ path: `["${A}"].expires_after`, reason: 'must be in nanoseconds; this is 1970' }])
  })
})

describe('the longest lifetime', () => {
  const reasons = (entry: object, limits: object): string[] =>
    parseExceptions({ [A]: { temporary_allow_all: true, ...rest, ...entry } }, limits).faults.map(
      ({ reason }) => reason,
    )

  test('is counted from the creation to the nanosecond', () => {
    const limits = { maxDays: 1 }
    expect(reasons({ expires_after: 1795600800000000000n }, limits)).toEqual([])
    expect(reasons({ expires_after: 1795600800000000001n }, limits)).toEqual([
      'must be at most 1 days after created_at',
    ])
  })

  test('is counted from now too, so that a creation in the future prolongs nothing', () => {
    const entry = { created_at: '2026-12-24T10:00:00Z', expires_after: 1803290400000000001n }
    expect(reasons(entry, { nowMs: NOW_MS })).toEqual(['must be at most 90 days ahead'])
    expect(reasons({ ...entry, expires_after: 1803290400000000000n }, { nowMs: NOW_MS })).toEqual([])
  })
})
