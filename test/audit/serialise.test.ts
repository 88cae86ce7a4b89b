import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { MAX_TEXT, serialiseEvent } from '../../src/audit/serialise.ts'

const parsed = (event: object): unknown => JSON.parse(`{${serialiseEvent(event as AuditEvent)}}`)
const hostile =
  'quote " backslash \\ feed \n return \r tab \t nul \0 ESC \u001b[2J DEL \u007f C1 \u009b LS \u2028 RTL \u202e ü 😀'
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: MAX_TEXT / 2 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom(hostile, '\ud800', 'x\udc00y', '\ud800\ud800', '"', '\\', '\\"', '</script>', '\u2028\u2029', '%s'),
)
const value = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
)
const name = fc.stringMatching(/^[a-z][a-z_]{0,20}$/)
const reason = fc.record({ code: text, message: text })
const event = fc.dictionary(name, fc.oneof(value, fc.array(value), fc.array(reason), reason), { noNullPrototype: true })

test('every event parses back to itself', () => {
  fc.assert(
    fc.property(event, (made) => {
      expect(parsed(made)).toEqual(JSON.parse(JSON.stringify(made)))
    }),
    { numRuns: 2000 },
  )
})

test('every line is printable ASCII', () => {
  fc.assert(
    fc.property(event, (made) => {
      expect(serialiseEvent(made as AuditEvent)).toMatch(/^[\x20-\x7e]*$/)
    }),
  )
})

test('a hostile text is escaped and comes back unchanged', () => {
  expect(parsed({ reason: hostile })).toEqual({ reason: hostile })
})

test('lone surrogates survive', () => {
  expect(parsed({ reason: 'a\ud800b\udc00' })).toEqual({ reason: 'a\ud800b\udc00' })
})

test('a text is cut at 256 characters, wherever it stands', () => {
  const long = 'x'.repeat(100_000)
  expect(parsed({ reason: long, reasons: [{ code: long, message: long }], grounds: [long] })).toEqual({
    reason: 'x'.repeat(256),
    reasons: [{ code: 'x'.repeat(256), message: 'x'.repeat(256) }],
    grounds: ['x'.repeat(256)],
  })
})

test('a list is cut at 256 members', () => {
  expect(parsed({ capabilities: Array.from({ length: 1000 }, () => 'a:b') })).toEqual({
    capabilities: Array.from({ length: 256 }, () => 'a:b'),
  })
})

test('the longest SPIFFE ID is recorded whole', () => {
  const id = `spiffe://crank.local/${'a'.repeat(2027)}`
  expect(parsed({ requester_spiffe_id: id })).toEqual({ requester_spiffe_id: id })
})

test('a number that JSON has no text for becomes null', () => {
  expect(parsed({ a: Number.NaN, b: Infinity, c: -0, d: 1e21 })).toEqual({ a: null, b: null, c: 0, d: 1e21 })
})

test('refuses what is not data', () => {
  expect(() => serialiseEvent({ a: () => 1 } as unknown as AuditEvent)).toThrow(TypeError)
})
