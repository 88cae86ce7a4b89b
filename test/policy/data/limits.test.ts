import { describe, expect, test } from 'vitest'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { limitsOfCaller, parseLimits } from '../../../src/policy/data/limits.ts'

const A = parseSpiffeId('spiffe://crank.local/worker/team/a')
const TEAM = 'spiffe://crank.local/worker/team/'

describe('limits', () => {
  test('that are not there limit nothing', () => {
    expect(parseLimits(undefined)).toBeUndefined()
  })

  test('that are empty lower priorities only', () => {
    expect(limitsOfCaller(parseLimits({})!, A)).toEqual({
      rate: undefined,
      burst: 1,
      concurrent: undefined,
      bodyBytes: undefined,
      maxPriority: 'normal',
      capabilities: new Map(),
    })
  })

  test('of the most specific entry count, and what it leaves out comes from the default', () => {
    const limits = parseLimits({
      default: { rate: 5, burst: 50, concurrent: 7, max_priority: 'low' },
      identities: { [TEAM]: { rate: 20, body_bytes: 9 }, [A]: { concurrent: 3, max_priority: 'high' } },
    })!
    expect(limitsOfCaller(limits, A)).toMatchObject({ rate: 5, burst: 50, concurrent: 3, maxPriority: 'high' })
    const other = limitsOfCaller(limits, parseSpiffeId(`${TEAM}b`))
    expect(other).toMatchObject({ rate: 20, concurrent: 7, bodyBytes: 9, maxPriority: 'low' })
    // The burst of another rate would mean nothing.
    expect(other.burst).toBe(20)
    expect(limitsOfCaller(limits, parseSpiffeId('spiffe://crank.local/worker/teammate'))).toBe(limits.default)
  })

  test('allow the calls of one second at once, at least one', () => {
    expect(parseLimits({ default: { rate: 2.5 } })!.default.burst).toBe(3)
    expect(parseLimits({ default: { rate: 0.01 } })!.default.burst).toBe(1)
  })

  test.each([
    [[], 'limits must be an object'],
    [{ identities: { '*': {} } }, 'limits.identities["*"] must be a SPIFFE ID'],
    [{ default: { rate: 0 } }, 'limits.default.rate must be a number above 0'],
    [{ identities: { [`spiffe://crank.local/${'x'.repeat(2048)}`]: {} } }, '2048'],
  ])('that are invalid are refused: %#', (value, words) => {
    expect(() => parseLimits(value)).toThrow(words)
  })
})
