import { describe, expect, test } from 'vitest'
import { ForeignAnswerError, parseAnswer } from '../../../src/policy/engine/answer.ts'
import { pdpDenial, pdpResult } from '../../fakes/pdp.ts'

const ID = '0192-id'

describe('an answer', () => {
  test('becomes an allow', () => {
    expect(parseAnswer(pdpResult(ID, { mode: 'shadow', exception: 'x#*', grounds: ['exception'] }), ID)).toEqual({
      decision: 'allow',
      mode: 'shadow',
      grounds: ['exception'],
      reasons: [],
      exception: 'x#*',
      policyVersion: '1.0.0',
    })
  })

  test('becomes a denial with its reasons', () => {
    const { decision, reasons } = parseAnswer(pdpDenial(ID), ID)
    expect(decision).toBe('deny')
    expect(reasons).toEqual([{ code: 'capability_not_declared', message: 'not authorized' }])
  })

  test('names a fault of an exception first, and leaves the others in their order', () => {
    const codes = ['capability_not_declared', 'exception_expired', 'worker_unknown']
    const denial = { ...pdpDenial(ID), reasons: codes.map((code) => ({ code, message: 'no' })) }
    expect(parseAnswer(denial, ID).reasons.map(({ code }) => code)).toEqual([
      'exception_expired',
      'capability_not_declared',
      'worker_unknown',
    ])
  })

  test('to another question is trouble, and recognisable as such', () => {
    expect(() => parseAnswer(pdpResult('another'), ID)).toThrow(
      expect.objectContaining({ code: 'policy_engine_error', cause: expect.any(ForeignAnswerError) }),
    )
  })

  test.each([
    ['allows without a ground', pdpResult(ID, { grounds: [] })],
    ['allows and gives reasons against it', pdpResult(ID, { reasons: [{ code: 'worker_unknown', message: 'no' }] })],
    ['denies without a reason', pdpResult(ID, { allow: false, grounds: [] })],
    ['denies and names a ground for it', { ...pdpDenial(ID), grounds: ['declared'] }],
  ])('that %s contradicts itself: trouble', (_what, result) => {
    expect(() => parseAnswer(result, ID)).toThrow(expect.objectContaining({ code: 'policy_engine_error' }))
  })

  test('says in its cause, not in its message, what did not fit', () => {
    expect(() => parseAnswer(pdpResult(ID, { allow: 'true' }), ID)).toThrow(
      expect.objectContaining({
        message: 'the policy engine gave no valid decision',
        cause: expect.objectContaining({ message: expect.stringContaining('result/allow') }),
      }),
    )
  })

  test('may say how long it holds, to the nanosecond', () => {
    const lasting = parseAnswer(pdpResult(ID, { valid_until_ns: '1795514400000000001' }), ID)
    expect(lasting.validUntilNs).toBe(1_795_514_400_000_000_001n)
    expect(parseAnswer(pdpResult(ID), ID)).not.toHaveProperty('validUntilNs')
  })

  test.each([{}, { valid_until_ns: '1' }])('never comes from a prototype: %j', (own) => {
    const inherited: unknown = Object.assign(Object.create(pdpResult(ID)), own)
    expect(() => parseAnswer(inherited, ID)).toThrow(expect.objectContaining({ code: 'policy_engine_error' }))
  })
})
