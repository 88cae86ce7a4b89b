import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Compile } from 'typebox/compile'
import { answersIn } from '../../src/core/ask-answers.ts'
import { AskReply } from '../../src/core/policy-ask.ts'

const schema = Compile(AskReply)
const GOOD = {
  spiffe_id: 'spiffe://crank.local/worker/a',
  capability: 'a:b',
  at: '2026-12-01T00:00:00Z',
  decision: 'deny',
  mode: 'enforce',
  ruling: 'deny',
  reasons: [{ code: 'c', message: 'm' }],
  grounds: ['declared'],
  exception: null,
  policy_revision: 'r',
  policy_version: '1',
  engine: 'opa-wasm',
  error: null,
}

test('an answer of the controller is read', () => {
  const answers = [GOOD, { ...GOOD, decision: null, ruling: 'error', policy_version: null, error: 'timeout' }]
  expect(answersIn({ answers })).toEqual(answers)
  expect(answersIn({ answers: [] })).toEqual([])
})

const odd = fc.constantFrom(
  null,
  1,
  '',
  'x',
  'allow',
  'shadow',
  'would_deny',
  'toString',
  [],
  {},
  ['x'],
  [1],
  [{ code: 'c' }],
  undefined,
)
const changed = fc
  .tuple(fc.constantFrom(...Object.keys(GOOD), 'more'), odd)
  .map(([name, value]) => (value === undefined ? without(name) : { ...GOOD, [name]: value }))
const reply = fc.oneof(
  fc.array(fc.oneof(fc.constant(GOOD), changed), { maxLength: 2 }).map((answers) => ({ answers })),
  fc.constantFrom(
    null,
    1,
    [],
    [GOOD],
    {},
    { answers: GOOD },
    { answers: [], more: 1 },
    { answers: [null] },
    { answers: [[]] },
  ),
)

test('a reply is accepted exactly where the schema accepts it', () => {
  fc.assert(
    fc.property(reply, (value) => {
      expect(answersIn(value) !== undefined).toBe(schema.Check(value))
    }),
    { numRuns: 2000 },
  )
})

function without(name: string): object {
  return Object.fromEntries(Object.entries(GOOD).filter(([other]) => other !== name))
}
