import { describe, expect, test } from 'vitest'
import { editDistance } from '../../../src/core/edit-distance.ts'
import { parseAt, parseTarget, parseWho } from '../../../src/cli/policy-ask/question.ts'
import { parseTrustDomain } from '../../../src/core/spiffe-id.ts'

const TD = parseTrustDomain('crank.local')

describe('who is asked about', () => {
  for (const [typed, id] of Object.entries({
    streaming: 'spiffe://crank.local/worker/streaming',
    'hello-world': 'spiffe://crank.local/worker/hello-world',
    hello_world: 'spiffe://crank.local/worker/hello-world',
    'worker-hello-world': 'spiffe://crank.local/worker/hello-world',
    'spiffe://other.org/a/b_c': 'spiffe://other.org/a/b_c',
  })) {
    test(`${typed} is ${id}`, () => {
      expect(parseWho(typed, TD)).toBe(id)
    })
  }
  for (const typed of [
    '',
    ' ',
    'a b',
    '..',
    'a/b',
    'spiffe://crank.local',
    'spiffe://crank.local/',
    'ä',
    'https://x/y',
  ]) {
    test(`${JSON.stringify(typed)} is nobody`, () => {
      expect(() => parseWho(typed, TD)).toThrow(expect.objectContaining({ name: 'CliError', exit: 2 }))
    })
  }
})

test('a capability is two words, or one with a colon', () => {
  expect(parseTarget({ verb: 'convert', capability: 'document_to_pdf' })).toBe('convert:document_to_pdf')
  expect(parseTarget({ verb: 'convert:document_to_pdf' })).toBe('convert:document_to_pdf')
  const wrong = [
    { verb: 'convert', capability: 'document:to_pdf' },
    { verb: '', capability: 'x' },
    { verb: 'convert' },
    { verb: 'convert:' },
    { verb: 'a:b:c' },
    { verb: 'a:b', capability: 'c' },
  ]
  for (const words of wrong) expect(() => parseTarget(words)).toThrow(expect.objectContaining({ exit: 2 }))
})

test('a time is an instant, one with an offset, or a day', () => {
  expect(parseAt(undefined)).toBeUndefined()
  expect(parseAt('2026-11-23T10:00:00.000000001Z')).toBe(1_795_428_000_000_000_001n)
  expect(parseAt('2026-11-23T11:00:00+01:00')).toBe(1_795_428_000_000_000_000n)
  expect(parseAt('2026-11-23')).toBe(1_795_392_000_000_000_000n)
  expect(parseAt('2026-11-23T00:00:00')).toBe(1_795_392_000_000_000_000n)
  expect(parseAt('2026-11-23 00:00')).toBe(1_795_392_000_000_000_000n)
  for (const typed of ['', '7', 'now', '2026-13-01', '3000-01-01T00:00:00Z']) {
    expect(() => parseAt(typed)).toThrow(expect.objectContaining({ exit: 2 }))
  }
})

test('letters are counted: put in, taken out, exchanged, swapped', () => {
  const pairs: readonly [string, string, number][] = [
    ['', '', 0],
    ['', 'ab', 2],
    ['abc', 'abc', 0],
    ['abc', 'abd', 1],
    ['abc', 'ab', 1],
    ['abc', 'xabc', 1],
    ['abcd', 'abdc', 1],
    ['abc', 'cab', 2],
    ['kitten', 'sitting', 3],
  ]
  for (const [a, b, distance] of pairs) {
    expect([a, b, editDistance(a, b)]).toEqual([a, b, distance])
    expect([b, a, editDistance(b, a)]).toEqual([b, a, distance])
  }
})
