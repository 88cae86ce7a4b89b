// The controller's block list counts before any engine's allow.
import { expect, test } from 'vitest'
import type { Blocked } from '../../src/policy/data/blocked.ts'
import { withBrake } from '../../src/policy/brake.ts'
import type { Decide, Decision } from '../../src/core/decision.ts'
import { AppError } from '../../src/core/errors.ts'
import { policyInput, registrationInput, STREAMING } from '../fixtures/policy-input.ts'

const NOBODY: Blocked = { identities: new Set(), capabilities: new Set(), certificates: new Set<string>() }
const ALL: Blocked = {
  identities: new Set([STREAMING]),
  capabilities: new Set(['invoke:hello_world']),
  certificates: new Set<string>(),
}
const ALLOW: Decision = {
  decision: 'allow',
  mode: 'enforce',
  grounds: ['declared'],
  reasons: [],
  exception: null,
  policyVersion: '1',
}
const input = policyInput(STREAMING, 'invoke:hello_world')

function setUp(blocked: Blocked, engine: Decide) {
  const state = { blocked, asked: 0 }
  const decide = withBrake({ blocked: () => state.blocked, revision: () => 'in force' }, (...question) => {
    state.asked += 1
    return engine(...question)
  })
  return { decide, state }
}

test('an engine is not asked about what is blocked, and the denial carries the revision in force', async () => {
  const { decide, state } = setUp(ALL, () => Promise.resolve(ALLOW))
  expect(await decide('capability_access', input)).toMatchObject({
    decision: 'deny',
    mode: 'enforce',
    grounds: [],
    reasons: [{ code: 'capability_blocked' }, { code: 'identity_blocked' }],
    policyVersion: null,
    revision: 'in force',
  })
  expect(await decide('worker_registration', registrationInput(STREAMING, 'worker-streaming', []))).toMatchObject({
    decision: 'deny',
    reasons: [{ code: 'identity_blocked' }],
  })
  expect(state.asked).toBe(0)
})

test('a blocked caller is denied while the engine is away, not told that it is', async () => {
  const { decide } = setUp(ALL, () => Promise.reject(new AppError('policy_engine_unavailable')))
  expect((await decide('capability_access', input)).decision).toBe('deny')
})

test('a block that comes while the engine is asked counts', async () => {
  const answer = Promise.withResolvers<Decision>()
  const { decide, state } = setUp(NOBODY, () => answer.promise)
  const decision = decide('capability_access', input)
  state.blocked = ALL
  answer.resolve(ALLOW)
  expect(await decision).toMatchObject({ decision: 'deny', reasons: [{}, { code: 'identity_blocked' }] })
})

test('an answer about what is not blocked is given out as it is', async () => {
  const { decide } = setUp(NOBODY, () => Promise.resolve(ALLOW))
  expect(await decide('capability_access', input)).toBe(ALLOW)
})
