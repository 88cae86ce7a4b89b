// One key, however it is written: bare, as an sf-string with escapes, or as a member of a body.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatIdempotencyKey, parseIdempotencyKey } from '../../src/core/idempotency-key.ts'

describe('an idempotency key', () => {
  test.for([
    ['k', 'k'],
    ['"k"', 'k'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['"a b"', 'a b'],
    ['"say \\"hi\\" \\\\"', 'say "hi" \\'],
    ['it"s', 'it"s'],
    ['" "', ' '],
  ] as const)('%s means %s', ([value, key]) => {
    expect(parseIdempotencyKey(value)).toBe(key)
  })

  test.for([
    '',
    '""',
    'a b',
    '"',
    '"a',
    'a b"',
    '"a"b',
    '"\\x"',
    '"a\\"',
    'é',
    '"é"',
    '"k";a=1',
    '"a", "b"',
    'x'.repeat(129),
  ])('%j is refused', (value) => {
    expect(() => parseIdempotencyKey(value)).toThrow(
      expect.objectContaining({ code: 'request_invalid', message: expect.stringContaining('must be one key') }),
    )
  })

  test('goes on bare where that is possible', () => {
    expect(formatIdempotencyKey('k~1')).toBe('k~1')
    expect(formatIdempotencyKey('a b')).toBe('"a b"')
    expect(formatIdempotencyKey('"k"')).toBe('"\\"k\\""')
  })

  test('is the same key at the next hop, whatever it contains', () => {
    const key = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 128,
    })
    fc.assert(fc.property(key, (it) => parseIdempotencyKey(formatIdempotencyKey(it)) === it))
  })

  test('of any other text is refused, never changed', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 140 }), (text) => {
        try {
          const key = parseIdempotencyKey(text)
          expect(parseIdempotencyKey(formatIdempotencyKey(key))).toBe(key)
        } catch (cause: unknown) {
          expect(cause).toMatchObject({ code: 'request_invalid' })
        }
      }),
    )
  })
})
