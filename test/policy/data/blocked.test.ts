import { expect, test } from 'vitest'
import { parseBlocked } from '../../../src/policy/data/blocked.ts'

test('every entry blocks, whatever its value is', () => {
  const { identities, capabilities } = parseBlocked({
    identities: { a: null, b: false },
    capabilities: { 'c:d': 'why' },
  })
  expect([[...identities], [...capabilities]]).toEqual([['a', 'b'], ['c:d']])
})

test('without a list nobody is blocked', () => {
  expect(parseBlocked(undefined)).toEqual({
    identities: new Set(),
    capabilities: new Set(),
    certificates: new Set<string>(),
  })
  expect(parseBlocked({}).identities.has('constructor')).toBe(false)
})

test.each<[unknown, string]>([
  [[], 'blocked: must be an object'],
  [null, 'blocked: must be an object'],
  [{ identities: ['a'] }, 'blocked.identities: must be an object'],
  [{ capabilities: null }, 'blocked.capabilities: must be an object'],
])('a list of another shape would block nobody and is refused: %j', (value, message) => {
  expect(() => parseBlocked(value)).toThrow(message)
})
