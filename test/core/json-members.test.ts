import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonMembers, JsonShapeError, withoutSpaceAround } from '../../src/core/json-members.ts'

const members = (text: string, depth = 32) =>
  Object.fromEntries(
    [...jsonMembers(Buffer.from(text), { maxDepth: depth })].map(([key, value]) => [key, value.toString()]),
  )

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

  test('refuses a duplicate name, also when it is spelled in two ways', () => {
    expect(() => members('{"a":1,"b":2,"a":3}')).toThrow(JsonShapeError)
    expect(() => members('{"a":1,"\\u0061":3}')).toThrow('duplicate member')
  })

  test('accepts exactly the allowed depth', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
    expect(() => members(nested(32))).not.toThrow()
    expect(() => members(nested(33))).toThrow('nested deeper than 32 levels')
    expect(() => members(`{"a":${nested(32)}}`)).toThrow(JsonShapeError)
  })

  test('reads an object with long runs of space at every place', () => {
    const run = ' \n\r\t'.repeat(1000)
    const text = ['', '{', '"a"', ':', '1', ',', '"b"', ':', '[', '"x"', ']', '}', ''].join(run)
    expect(members(text)).toEqual({ a: '1', b: `[${run}"x"${run}]` })
    expect(withoutSpaceAround(Buffer.from(text)).toString()).toBe(text.trim())
    expect(withoutSpaceAround(Buffer.from(run)).length).toBe(0)
  })

  test('agrees with JSON.parse on every object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), fc.nat(3), (object, indent) => {
        const text = JSON.stringify(object, null, indent)
        const parsed = Object.fromEntries(
          [...jsonMembers(Buffer.from(text), { maxDepth: 32 })].map(([key, value]) => [
            key,
            JSON.parse(value.toString()) as unknown,
          ]),
        )
        expect(parsed).toEqual(JSON.parse(text))
      }),
    )
  })
})

describe('limits', () => {
  const limits = { maxDepth: 32, maxMembers: 16, names: new Set(['verb', 'payload']), refusePrototypes: true }
  const within = (text: string | Buffer) => jsonMembers(Buffer.from(text), limits)

  test('stops at the first unknown member, whatever comes after it', () => {
    expect(() => within('{"verb":"a","k0":1,"k1":}}} no JSON')).toThrow('must NOT have additional properties ("k0")')
    expect(() => within('{"verb":"a","\\u006b0":')).toThrow('("k0")')
  })

  test('cuts a long unknown name short', () => {
    expect(() => within(`{"${'x'.repeat(100_000)}":1}`)).toThrow(`("${'x'.repeat(64)}")`)
  })

  test('stops at the 17th member where all names are allowed', () => {
    const members = (count: number) => Array.from({ length: count }, (_, n) => `"k${n}":${n}`).join(',')
    const any = { maxDepth: 32, maxMembers: 16 }
    expect(jsonMembers(Buffer.from(`{${members(16)}}`), any).size).toBe(16)
    expect(() => jsonMembers(Buffer.from(`{${members(17)},no JSON`), any)).toThrow('more than 16 members')
  })

  test('stops at a duplicate name, and at level 33, whatever comes after it', () => {
    expect(() => within('{"verb":"a","verb":no JSON')).toThrow('duplicate member "verb"')
    expect(() => within(`{"payload":${'['.repeat(1_000_000)}`)).toThrow('nested deeper than 32 levels')
  })

  const poisoned = {
    __proto__: '{"payload":{"a":[{"__proto__":1}]}}',
    'an escaped __proto__': '{"payload":{"\\u005F_pr\\u006fto__" : 1}}',
    'a prototype in a constructor': '{"payload":{"constructor":{"a":{"b":1},"prototype":1}}}',
    'an escaped one': '{"payload":{"c\\u006fnstructor" : {"\\u0070rototype":1}}}',
    'one in a constructor in a constructor': '{"payload":{"constructor":{"constructor":{"prototype":1}}}}',
  }
  for (const [what, text] of Object.entries(poisoned)) {
    test(`refuses ${what}`, () => {
      expect(() => within(text)).toThrow('is not allowed')
    })
  }

  const harmless = [
    '"__proto__"',
    '["constructor","prototype"]',
    '{"constructor":1,"prototype":{}}',
    '{"constructor":{"of":{"prototype":1}}}',
    '{"constructor":[{"prototype":1}]}',
    '{"constructor":{},"a":{"prototype":1}}',
    '{"__proto":1,"proto__":1,"__proto__x":1,"\\u005fx":1}',
    '"\\"__proto__\\":1"',
  ]
  for (const payload of harmless) {
    test(`lets the payload ${payload} pass`, () => {
      expect(within(`{"payload":${payload}}`).get('payload')?.toString()).toBe(payload)
    })
  }
})

describe('texts that are no JSON', () => {
  for (const text of [
    '',
    ' ',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    '{,}',
    '{"a" 1}',
    '{a:1}',
    '{"a":}',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => {
      expect(() => members(text)).toThrow('it is not valid JSON')
    })
  }
  for (const text of ['{"a":1}x', '{"a":1}{', '{"a":[}', '{"a":"x}', '{"a\\":1}', '["a"', '{"\\x":1}', '{"a":1]}']) {
    test(`${text} is refused`, () => {
      expect(() => members(text)).toThrow(JsonShapeError)
    })
  }

  test('end in an answer, whatever the bytes are', () => {
    const limits = { maxDepth: 32, maxMembers: 16, refusePrototypes: true }
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      ':',
      ',',
      ' ',
      '1',
      'a',
      '"a":',
      '"__proto__":',
      '\\u0061',
      'é',
    )
    const text = fc.oneof(
      fc.array(piece, { maxLength: 200 }).map((pieces) => pieces.join('')),
      fc.string(),
    )
    fc.assert(
      fc.property(text, (garbage) => {
        const thrown = thrownBy(() => jsonMembers(Buffer.from(garbage), limits))
        const isJson = thrownBy(() => void JSON.parse(garbage)) === undefined
        expect(thrown === undefined || thrown instanceof JsonShapeError).toBe(true)
        // What is JSON is refused for its shape only.
        expect(isJson && thrown instanceof JsonShapeError && thrown.kind === 'not_json').toBe(false)
      }),
      { numRuns: 2000 },
    )
  })

  test('are cut anywhere, and never read beyond their end', () => {
    const whole = Buffer.from(
      JSON.stringify({ verb: 'a', payload: { constructor: ['x\\"', { é: '\u2028' }], b: 1.5e-7 } }),
    )
    for (let length = 0; length < whole.length; length++) {
      // The rest stands behind the slice in the same memory.
      expect(
        thrownBy(() => jsonMembers(whole.subarray(0, length), { maxDepth: 32, refusePrototypes: true })),
      ).toMatchObject({
        kind: 'not_json',
      })
    }
  })
})

function thrownBy(work: () => unknown): unknown {
  try {
    work()
    return undefined
  } catch (cause: unknown) {
    return cause
  }
}
