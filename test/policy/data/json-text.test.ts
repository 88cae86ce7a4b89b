import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkJsonText, type JsonTextError } from '../../../src/policy/data/json-text.ts'

function faultOf(text: string): string | undefined {
  try {
    checkJsonText(text)
    return undefined
  } catch (error: unknown) {
    return (error as JsonTextError).message
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('checkJsonText', () => {
  test.each([
    ['{', 'unexpected end at line 1 column 2'],
    ['{\n  "a": 1,\n}', 'expected a key in double quotes at line 3 column 1'],
    ['{"a": x}', 'unexpected text at line 1 column 7'],
    ['{"a": 01}', 'expected a comma or } at line 1 column 8'],
    ['{"a" 1}', 'expected a colon at line 1 column 6'],
    ['[1 2]', 'expected a comma or ] at line 1 column 4'],
    ['{} {}', 'unexpected text after the end at line 1 column 4'],
    ['\ufeff{}', 'unexpected text at line 1 column 1'],
    ['{"a": 1, "b": {"a": 1},\n "a": 2}', 'duplicate key "a" at line 2 column 2'],
    ['{"a": 1, "\\u0061": 2}', 'duplicate key "\\u0061" at line 1 column 10'],
    ['{"a": [{"x": 1}, {"x": 1, "x": 1}]}', 'duplicate key "x" at line 1 column 27'],
    ['{"a": 1,\n "b": "x\\ud800y"}', 'half of a surrogate pair (\\ud800 to \\udfff) at line 2 column 7'],
    ['{"\\uDC00": 1}', 'half of a surrogate pair (\\ud800 to \\udfff) at line 1 column 2'],
    ['['.repeat(5000), 'nesting deeper than 100 at line 1 column 102'],
  ])('says what is wrong in %j, and where', (text, fault) => {
    expect(faultOf(text)).toBe(fault)
  })

  test('takes whole pairs, and what only looks like half of one', () => {
    for (const text of ['"\\ud83d\\ude00"', '"\\\\ud800"', '"\\u0000"']) expect(faultOf(text)).toBeUndefined()
  })

  test('finds nothing wrong in any JSON that was written from a value', () => {
    fc.assert(fc.property(fc.json(), (text) => faultOf(text) === undefined))
    fc.assert(fc.property(fc.jsonValue(), (value) => faultOf(JSON.stringify(value, null, 2)) === undefined))
  })

  test('agrees with JSON.parse about spoiled JSON', () => {
    const spoiled = fc.tuple(
      fc.json(),
      fc.nat(),
      fc.constantFrom('', ',', '"', '}', ' ', '0', '-', '\\', '\u0001', 'e', ':'),
    )
    fc.assert(
      fc.property(spoiled, ([text, at, piece]) => {
        const cut = at % (text.length + 1)
        const changed = text.slice(0, cut) + piece + text.slice(cut + 1)
        const fault = faultOf(changed)
        return fault?.startsWith('duplicate key') === true || (fault === undefined) === parses(changed)
      }),
      { numRuns: 2000 },
    )
  })
})
