// Version constraints and labels as callers write them, and what they match.
import { describe, expect, test } from 'vitest'
import { parseLabelHeader } from '../../../src/controller/routing/labels.ts'
import { parseVersionRange } from '../../../src/controller/routing/version-range.ts'
import { meets, parseWish } from '../../../src/controller/routing/wish.ts'

const VERSIONS = ['0.9.0', '1.0.0', '1.2.0', '1.2.9', '1.3.0-beta.1', '1.3.0', '2.0.0-rc.1', '2.0.0', '10.0.0']

describe('a version constraint', () => {
  // By the documentation of npm's semver: a pre-release only where the constraint names one of the same version.
  const table: Record<string, string[]> = {
    '1.2.0': ['1.2.0'],
    '=1.2.0': ['1.2.0'],
    '^1.2': ['1.2.0', '1.2.9', '1.3.0'],
    '^1.2.5': ['1.2.9', '1.3.0'],
    '~1.2': ['1.2.0', '1.2.9'],
    '~1.2.3': ['1.2.9'],
    '1.x': ['1.0.0', '1.2.0', '1.2.9', '1.3.0'],
    '1.2.*': ['1.2.0', '1.2.9'],
    '1': ['1.0.0', '1.2.0', '1.2.9', '1.3.0'],
    '>=1.2 <2': ['1.2.0', '1.2.9', '1.3.0'],
    '>=2': ['2.0.0', '10.0.0'],
    '<1': ['0.9.0'],
    '1.0.0 || ^2': ['1.0.0', '2.0.0'],
    '1.2.0 - 1.2.9': ['1.2.0', '1.2.9'],
    '^1.3.0-beta.0': ['1.3.0-beta.1', '1.3.0'],
    '>=2.0.0-rc.0': ['2.0.0-rc.1', '2.0.0', '10.0.0'],
    '^0.9': ['0.9.0'],
    '*': ['0.9.0', '1.0.0', '1.2.0', '1.2.9', '1.3.0', '2.0.0', '10.0.0'],
    '^3': [],
  }
  for (const [text, expected] of Object.entries(table)) {
    test(`${text} is met by ${expected.join(', ') || 'none'}`, () => {
      const range = parseVersionRange(text)
      // Twice: the second time from the cache.
      for (let i = 0; i < 2; i++) expect(VERSIONS.filter((version) => range.includes(version))).toEqual(expected)
      expect(parseVersionRange(text)).toBe(range)
    })
  }

  for (const text of ['newest', '1.2.3.4', '^', '>=a', '1..2', 'v', '^1.2 &&', '😀', '999999999999999999999.0.0']) {
    test(`${JSON.stringify(text)} is refused, with an example of what is meant`, () => {
      expect(() => parseVersionRange(text)).toThrow(
        expect.objectContaining({ code: 'request_invalid', message: expect.stringContaining('^1.2') as string }),
      )
    })
  }

  test('of which there are very many is not kept forever', () => {
    const first = parseVersionRange('^7.7.7')
    for (let i = 0; i < 1000; i++) parseVersionRange(`^8.${i}`)
    expect(parseVersionRange('^7.7.7')).not.toBe(first)
    const range = parseVersionRange('^1')
    for (let i = 0; i < 1000; i++)
      expect([range.includes(`1.${i}.0`), range.includes(`2.${i}.0`)]).toEqual([true, false])
  })
})

describe('labels in a header', () => {
  test('are words with =, separated by commas', () => {
    expect(parseLabelHeader('x', 'zone=eu,gpu=a100 ,  tier=1.5-b')).toEqual({ zone: 'eu', gpu: 'a100', tier: '1.5-b' })
    expect(parseLabelHeader('x', 'constructor=a')).toEqual({ constructor: 'a' })
  })

  const many = Array.from({ length: 17 }, (_, at) => `l${at}=x`).join(',')
  for (const text of [
    '',
    'zone',
    'zone=',
    '=eu',
    'a=b,',
    'a=b=c',
    'Zone=eu',
    '__proto__=a',
    'a=b;c=d',
    'a=b, a=c',
    many,
  ]) {
    test(`${JSON.stringify(text.slice(0, 20))} is refused, and the header named`, () => {
      expect(() => parseLabelHeader('x-crank-require', text)).toThrow(/^x-crank-require /)
    })
  }
})

test('a call that asks for nothing has no wish; empty labels ask for nothing more', () => {
  expect(parseWish({})).toBeUndefined()
  const wish = parseWish({ require: {}, prefer: {} })!
  expect(wish.first).toBeUndefined()
  expect(meets(wish, '1.0.0', new Map())).toBe(true)
})
