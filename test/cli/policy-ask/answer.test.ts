import { expect, test } from 'vitest'
import { askDecided, may, why } from '../../../src/cli/policy-ask/answer.ts'
import type { AskAnswer } from '../../../src/core/policy-ask.ts'
import { parseCapability } from '../../../src/core/capability.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'

const answer = (ruling: AskAnswer['ruling'], part: Partial<AskAnswer> = {}): AskAnswer => ({
  spiffe_id: 'spiffe://crank.local/worker/a',
  capability: 'a:b',
  at: '2026-11-23T10:00:00.000Z',
  decision: ruling === 'allow' ? 'allow' : 'deny',
  mode: 'enforce',
  ruling,
  reasons: [],
  grounds: [],
  exception: null,
  policy_revision: 'r',
  policy_version: '1.0.0',
  engine: 'opa-wasm',
  error: null,
  ...part,
})
const trouble = (ruling: 'error' | 'unevaluated') =>
  answer(ruling, { decision: null, error: 'policy_engine_unavailable' })
const spiffeId = parseSpiffeId('spiffe://crank.local/worker/a')
const questions = ['a:a', 'a:b', 'a:c'].map((name) => ({
  spiffeId,
  capability: parseCapability(name),
  atNs: undefined,
}))

test('what got no decision is asked once more, and its answer put in its place', async () => {
  const rounds = [[answer('allow'), trouble('error'), answer('deny')], [answer('would_deny')]]
  const asked: string[][] = []
  const answers = await askDecided((some) => {
    asked.push(some.map(({ capability }) => capability))
    return Promise.resolve(rounds.shift() ?? [])
  }, questions)
  expect(answers.map(({ ruling }) => ruling)).toEqual(['allow', 'would_deny', 'deny'])
  expect(asked).toEqual([['a:a', 'a:b', 'a:c'], ['a:b']])
})

for (const [ruling, says] of [
  ['error', 'calls are refused'],
  ['unevaluated', 'calls pass unevaluated, in shadow mode'],
] as const) {
  test(`no decision twice is neither yes nor no: ${says}`, async () => {
    await expect(
      askDecided((some) => Promise.resolve(some.map(() => trouble(ruling))), questions),
    ).rejects.toMatchObject({
      exit: 3,
      message: `the policy gave no decision (policy_engine_unavailable); ${says}`,
    })
  })
}

test('a call goes through when it is allowed, or denied in shadow mode unless that is off', () => {
  const rulings = ['allow', 'deny', 'would_deny', 'error', 'unevaluated'] as const
  expect(rulings.map((ruling) => may(answer(ruling)))).toEqual([true, false, true, false, false])
  expect(rulings.map((ruling) => may(answer(ruling), true))).toEqual([true, false, false, false, false])
})

test('why is the ground with the exception by name, or the sentences', () => {
  expect(why(answer('allow', { grounds: ['declared', 'exception'], exception: 'x#*' }))).toBe('declared, exception x#*')
  const reasons = ['one', 'two'].map((message) => ({ code: 'c', message }))
  expect(why(answer('deny', { reasons }))).toBe('one; two')
})
