import { describe, expect, test } from 'vitest'
import { exactInteger, parseExactJson } from '../../../src/policy/data/exact-json.ts'

describe('exact JSON', () => {
  test('keeps 19 digits, and leaves what a number can hold a number', () => {
    expect(parseExactJson('{"a": 1767139200000000001, "b": [1, 1.5, -3], "c": "1767139200000000001"}')).toEqual({
      a: 1767139200000000001n,
      b: [1, 1.5, -3],
      c: '1767139200000000001',
    })
  })

  test('makes no integer of a fraction that a number would lose', () => {
    expect(parseExactJson('[1795514400000000000.5, 1e400, -1e400]')).toEqual([NaN, NaN, NaN])
  })

  test.each([
    ['0', 0n],
    ['-12', -12n],
    ['1.8e18', 1_800_000_000_000_000_000n],
    ['1795514400000000000.0', 1_795_514_400_000_000_000n],
    ['17955144000000000010e-1', 1_795_514_400_000_000_001n],
    ['1E2', 100n],
    ['1.5', undefined],
    ['1e-7', undefined],
    ['1e400', undefined],
    ['1e999999999', undefined],
    ['', undefined],
    ['x', undefined],
  ])('%s is the integer %s', (source, integer) => {
    expect(exactInteger(source)).toBe(integer)
  })
})
