import { describe, expect, test } from 'vitest'
import { decodeShared, encodeShared, type SharedEntry } from '../../../src/controller/idempotency/shared-entry.ts'

const common = { fingerprint: 'ab', decisionId: 'd-1', owner: 'o-1' }
const answered = (bytes: number): SharedEntry => ({
  ...common,
  state: 'done',
  expiresMs: 1000,
  answer: { kind: 'answer', status: 200, headers: ['content-type', 'text/plain'], body: Buffer.alloc(bytes, 'x\n') },
})

describe('the entry of an idempotency key', () => {
  test.each<[string, SharedEntry]>([
    ['in flight', { ...common, state: 'in_flight', expiresMs: null }],
    ['unknown', { ...common, state: 'unknown', expiresMs: 1000 }],
    [
      'with a failure',
      {
        ...common,
        state: 'done',
        expiresMs: 1,
        answer: { kind: 'failure', workerId: null, reason: 'no', reasonCode: undefined },
      },
    ],
    ['with an answer', answered(100)],
    ['with an empty answer', answered(0)],
  ])('%s is read as it was written', (_what, entry) => {
    const { head, parts } = encodeShared(entry, 1000)
    expect(parts).toEqual([])
    expect(decodeShared(head)).toEqual(entry)
  })

  test('has a large body in parts, none of them larger than a message may be', () => {
    const entry = answered(2500)
    const { head, parts } = encodeShared(entry, 1000)
    expect(parts.map(({ length }) => length)).toEqual([1000, 500])
    const read = decodeShared(head)
    expect(read.parts).toBe(2)
    const body = read.answer?.kind === 'answer' ? read.answer.body : Buffer.alloc(0)
    expect(Buffer.concat([body, ...parts])).toEqual(Buffer.alloc(2500, 'x\n'))
  })

  test.each([
    ['nothing', ''],
    ['no JSON', 'x\n'],
    ['another version', '{"v":2}\n'],
  ])('of %s is refused', (_what, text) => {
    expect(() => decodeShared(Buffer.from(text))).toThrow()
  })
})
