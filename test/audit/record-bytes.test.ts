// `verify` reads bytes and `openRecord` reads text: what the first accepts, the second must accept, or a record could be verified
// and yet be read by no command.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GENESIS, openRecord, sealRecord } from '../../src/audit/chain.ts'
import { isCompactObject } from '../../src/audit/json-bytes.ts'
import { openBytes } from '../../src/audit/record-bytes.ts'
import { serialiseEvent } from '../../src/audit/serialise.ts'
import { AUDIT_EVENTS } from '../observability/audit-events.ts'

const isCompact = (text: string): boolean => {
  const bytes = Buffer.from(`${text}\n`, 'latin1')
  return isCompactObject(bytes, 0, bytes.length - 1, [Buffer.from('event')])
}

const isJsonObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

/** Pieces of JSON in any order: far more often almost valid than any bytes are. */
const pieces = fc
  .array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      '"a"',
      '"event"',
      '"\\n"',
      '"\\u00e9"',
      '"\\u00g0"',
      '"\\x"',
      '0',
      '-1',
      '01',
      '1.5e+9',
      '1.',
      '-',
      '1e',
      'true',
      'false',
      'null',
      'nul',
      ' ',
      '\t',
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''))

const asciiJson = fc
  .json({ maxDepth: 4 })
  .map((text) => text.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`))

test('every compact object of ASCII is accepted, whatever is in it', () => {
  fc.assert(
    fc.property(asciiJson, (text) => {
      expect(isCompact(`{"a":${text},"b":[${text}]}`)).toBe(true)
    }),
  )
})

test('nothing is accepted that is no JSON object', () => {
  const accepted: string[] = []
  fc.assert(
    fc.property(
      fc.oneof(
        pieces,
        pieces.map((text) => `{"a":${text}}`),
        pieces.map((text) => `{${text}}`),
      ),
      (text) => {
        if (isCompact(text)) accepted.push(text)
      },
    ),
    { numRuns: 20_000 },
  )
  expect(accepted.length).toBeGreaterThan(20)
  for (const text of accepted) expect({ text, is: isJsonObject(text) }).toEqual({ text, is: true })
})

test('a changed byte in an object is accepted only if it is JSON still', () => {
  const text = '{"a":[1,-2.5e+3,{"b":"x\\u0041\\n"}],"c":null,"d":true,"e":{},"f":[]}'
  const changed = fc.tuple(fc.nat({ max: text.length - 1 }), fc.nat({ max: 255 }))
  fc.assert(
    fc.property(changed, ([at, byte]) => {
      const other = text.slice(0, at) + String.fromCharCode(byte) + text.slice(at + 1)
      expect(isCompact(other) && !isJsonObject(other)).toBe(false)
    }),
    { numRuns: 10_000 },
  )
})

test('a member that must be there once is not accepted twice, but may be further down', () => {
  expect(isCompact('{"event":1,"a":{"event":2}}')).toBe(true)
  expect(isCompact('{"event":1,"event":2}')).toBe(false)
  expect(isCompact(`{"a":${'['.repeat(63)}${']'.repeat(63)}}`)).toBe(true)
  expect(isCompact(`{"a":${'['.repeat(64)}1${']'.repeat(64)}}`)).toBe(false)
})

const opened = (line: string) => {
  const bytes = Buffer.from(`xx${line}\n`, 'latin1')
  return { record: openBytes(bytes, 2, bytes.length - 1), bytes }
}

test.each(Object.values(AUDIT_EVENTS))('a record of $event is opened from its bytes', (event) => {
  const { line, head } = sealRecord({ seq: 41, hash: 'c'.repeat(64) }, serialiseEvent(event))
  const { record, bytes } = opened(line.trimEnd())
  expect(record).toMatchObject({ seq: 42, prev: 'c'.repeat(64), hash: head.hash, event: event.event })
  const members = bytes.toString('latin1', record!.membersAt, bytes.length - 1)
  expect(line).toContain(`"${members}\n`)
  expect(JSON.parse(`{"v":1${members}`)).toEqual({ v: 1, ...JSON.parse(JSON.stringify(event)) })
})

const LINE = sealRecord(GENESIS, serialiseEvent(AUDIT_EVENTS.route_outcome)).line.trimEnd()

test('a line that is refused is left as it is, so that its fault can be named', () => {
  const changed = LINE.replace('"status":200', '"status":201')
  const { record, bytes } = opened(changed)
  expect(record).toBeUndefined()
  expect(bytes.toString('latin1')).toBe(`xx${changed}\n`)
})

/** A line with its right hash, whatever is in it. */
const resealed = (members: string): string => sealRecord(GENESIS, members).line.trimEnd()

test.each([
  '"event":"a"',
  '"timestamp":"t","event":"a"',
  '"event":"a","timestamp":"t","event":5',
  '"event":"a","timestamp":"t","timestamp":5',
  '"event":"a","timestamp":"t",',
  '"event":"a","timestamp":"t","b":\u00e9',
  '"event":"a","timestamp":"t","b":"\u00e9"',
  '"event":"a","timestamp":t',
])('members %s are not for the fast way, even with the right hash', (members) => {
  expect(opened(resealed(members)).record).toBeUndefined()
})

test('what is opened from bytes is a record for openRecord too, after any change with the right hash', () => {
  const members = serialiseEvent(AUDIT_EVENTS.policy_decision)
  const edit = fc.tuple(
    fc.nat({ max: members.length }),
    fc.nat({ max: 3 }),
    fc.constantFrom('', '"', ',', '}', '{', '\\', 'e', '1', '"event":5,', ' ', '\u00e9', ':null'),
  )
  fc.assert(
    fc.property(edit, ([at, cut, put]) => {
      const line = resealed(members.slice(0, at) + put + members.slice(at + cut))
      const record = openRecord(line)
      expect(opened(line).record !== undefined && typeof record === 'string').toBe(false)
    }),
    { numRuns: 5000 },
  )
})

test('one changed byte anywhere in a line is refused', () => {
  for (let at = 0; at < LINE.length; at++) {
    const line = LINE.slice(0, at) + String.fromCharCode(LINE.charCodeAt(at) ^ 1) + LINE.slice(at + 1)
    expect({ at, record: opened(line).record }).toEqual({ at, record: undefined })
  }
})
