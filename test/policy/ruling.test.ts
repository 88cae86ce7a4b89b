// The one place where shadow mode lets something pass: every combination, and what no mode lets pass.
import { describe, expect, test } from 'vitest'
import type { RouteCall } from '../../src/controller/call.ts'
import type { Verdict } from '../../src/policy/verdict.ts'
import { parseBlocked } from '../../src/policy/data/blocked.ts'
import { parseEnforcement } from '../../src/policy/data/enforcement.ts'
import { createOwnKnowledge, rulingOf, rulingOnTrouble } from '../../src/policy/ruling.ts'
import { markedIfShadowed } from '../../src/controller/steps/shadow-mark.ts'
import { passes } from '../../src/core/ruling.ts'
import type { Decision } from '../../src/core/decision.ts'
import { policyInput, STREAMING } from '../fixtures/policy-input.ts'

const input = policyInput(STREAMING, 'convert:document_to_pdf')
const shadowAll = parseEnforcement({ default: 'shadow' })
const nobody = parseBlocked(undefined)

function decision(word: Decision['decision'], mode: Decision['mode'], ...codes: string[]): Decision {
  const reasons = codes.map((code) => ({ code, message: code }))
  return { decision: word, mode, reasons, grounds: [], exception: null, policyVersion: '1' }
}

describe('the ruling on a decision', () => {
  test.each([
    ['capability_access', decision('allow', 'enforce'), false, 'allow'],
    ['capability_access', decision('allow', 'shadow'), true, 'allow'],
    ['capability_access', decision('deny', 'enforce', 'capability_not_declared'), false, 'deny'],
    ['capability_access', decision('deny', 'shadow', 'capability_not_declared'), false, 'would_deny'],
    ['capability_access', decision('deny', 'shadow', 'worker_unknown', 'exception_expired'), false, 'would_deny'],
    ['capability_access', decision('deny', 'shadow', 'capability_not_declared'), true, 'deny'],
    ['capability_access', decision('deny', 'shadow', 'identity_blocked'), false, 'deny'],
    ['capability_access', decision('deny', 'shadow', 'capability_not_declared', 'capability_blocked'), false, 'deny'],
    ['capability_access', decision('deny', 'shadow', 'input_malformed'), false, 'deny'],
    ['capability_access', decision('deny', 'shadow', 'policy_data_malformed'), false, 'deny'],
    ['worker_registration', decision('deny', 'shadow', 'worker_unknown'), false, 'deny'],
    ['worker_registration', decision('allow', 'enforce'), false, 'allow'],
  ] as const)('on %s: %j, blocked %s: %s', (question, said, blocked, ruling) => {
    expect(rulingOf(question, said, () => blocked)).toBe(ruling)
  })
})

describe('the ruling without a decision', () => {
  const rule = (
    question: 'capability_access' | 'worker_registration',
    enforcement = shadowAll,
    blocked = nobody,
  ): string =>
    rulingOnTrouble(
      question,
      input,
      createOwnKnowledge(() => ({ enforcement, blocked })),
    )

  test('is unevaluated where the controller’s own map says shadow', () => {
    expect(rule('capability_access')).toBe('unevaluated')
  })

  test('is an error where it says enforce', () => {
    expect(
      rule('capability_access', parseEnforcement({ default: 'shadow', callers: { [STREAMING]: 'enforce' } })),
    ).toBe('error')
  })

  test.each([{ identities: { [STREAMING]: 'stolen key' } }, { capabilities: { 'convert:document_to_pdf': null } }])(
    'is an error for what is blocked: %j',
    (blocked) => {
      expect(rule('capability_access', shadowAll, parseBlocked(blocked))).toBe('error')
    },
  )

  test('is an error for a registration', () => {
    expect(rule('worker_registration')).toBe('error')
  })

  test('follows the folder as it is at the time', () => {
    let files = { enforcement: shadowAll, blocked: nobody }
    const own = createOwnKnowledge(() => files)
    files = { ...files, enforcement: parseEnforcement(undefined) }
    expect(rulingOnTrouble('capability_access', input, own)).toBe('error')
  })
})

test('an allow and what shadow mode lets through pass, nothing else', () => {
  const rulings = ['allow', 'would_deny', 'unevaluated', 'deny', 'error'] as const
  expect(rulings.filter(passes)).toEqual(['allow', 'would_deny', 'unevaluated'])
})

test('the answer to a call that only shadow mode let through says so', () => {
  const seen: string[][] = []
  const call = { sink: { start: (_status: number, headers: string[]) => seen.push(headers) } } as unknown as RouteCall
  for (const ruling of ['allow', 'would_deny', 'unevaluated']) {
    markedIfShadowed(call, { ruling } as Verdict).sink.start(200, ['a', 'b'])
  }
  expect(seen).toEqual([
    ['a', 'b'],
    ['a', 'b', 'x-crank-shadow', 'would_deny'],
    ['a', 'b', 'x-crank-shadow', 'unevaluated'],
  ])
})
