import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonMembers, JsonShapeError } from '../../src/core/json-members.ts'

const members = (text: string, depth = 32) =>
  Object.fromEntries([...jsonMembers(Buffer.from(text), { maxDepth: depth })].map(([key, value]) => [key, value.toString()]))

describe('jsonMembers', () => {
  test('gives each top-level value exactly as it was written', () => {
    expect(members('{"a": 1795514400000000001 , "b":[1, {"a":2}],"c":"x,y}\\"{"}')).toEqual({
      a: '1795514400000000001',
      b: '[1, {"a":2}]',
      c: '"x,y}\\"{"',
    })
  })

  test('reads escaped names and names with quotes and backslashes', () => {
    expect(members('{"pay\\u006coad":null,"q\\"\\\\":1}')).toEqual({ payload: 'null', 'q"\\': '1' })
  })

  test('gives nothing for a top that is not an object', () => {
    for (const text of ['[]', '[{"a":1}]', '"a"', ' [ "x" , "y" ] ', '1', 'null']) expect(members(text)).toEqual({})
  })

  test('refuses a name that stands twice, also when it is spelled in two ways', () => {
    expect(() => members('{"a":1,"b":2,"a":3}')).toThrow(JsonShapeError)
    expect(() => members('{"a":1,"\\u0061":3}')).toThrow('stands twice')
  })

  test('accepts exactly the allowed depth', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
    expect(() => members(nested(32))).not.toThrow()
    expect(() => members(nested(33))).toThrow('nested deeper than 32 levels')
    expect(() => members(`{"a":${nested(32)}}`)).toThrow(JsonShapeError)
  })

  test('agrees with JSON.parse on every object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), fc.nat(3), (object, indent) => {
        const text = JSON.stringify(object, null, indent)
        const parsed = Object.fromEntries(
          [...jsonMembers(Buffer.from(text), { maxDepth: 32 })].map(([key, value]) => [key, JSON.parse(value.toString()) as unknown]),
        )
        expect(parsed).toEqual(JSON.parse(text))
      }),
    )
  })
})
