import { describe, expect, test } from 'vitest'
import { callIn, exceptionIn, groundsIn, reasonsIn, rulingIn } from '../../src/audit/record-members.ts'

const DENIAL = {
  event: 'policy_decision',
  requester_spiffe_id: 'spiffe://crank.local/worker/streaming',
  capability: 'convert:html_to_pdf',
  decision: 'would_deny',
  reasons: [{ code: 'capability_not_declared', message: 'not declared' }],
  grounds: [],
  exception: 'spiffe://crank.local/worker/streaming',
}

describe('the members of a record', () => {
  test('are read as they were written', () => {
    expect(callIn(DENIAL)).toEqual({ spiffeId: DENIAL.requester_spiffe_id, capability: DENIAL.capability })
    expect(rulingIn(DENIAL)).toBe('would_deny')
    expect(reasonsIn(DENIAL)).toEqual(DENIAL.reasons)
    expect(groundsIn({ grounds: ['declared', 'exception'] })).toEqual(['declared', 'exception'])
    expect(exceptionIn(DENIAL)).toBe(DENIAL.exception)
  })

  const odd: readonly unknown[] = [undefined, null, 1, 'x', {}, [null, 1, {}, { code: 1, message: 'm' }, { code: 'c' }]]
  for (const value of odd) {
    test(`count as absent when they are ${JSON.stringify(value)}`, () => {
      const record = { ...DENIAL, decision: value, reasons: value, requester_spiffe_id: value }
      expect([rulingIn(record), reasonsIn(record), callIn(record)]).toEqual([undefined, [], undefined])
      expect(groundsIn({ grounds: [value] })).toEqual(value === 'x' ? ['x'] : [])
      expect(exceptionIn({ exception: value })).toBe(value === 'x' ? 'x' : null)
    })
  }

  test('name no call in a registration, and in what a blocked identity sent', () => {
    expect(callIn({ ...DENIAL, event: 'worker_registration' })).toBeUndefined()
    expect(callIn({ ...DENIAL, capability: null })).toBeUndefined()
  })
})
