// The decision cache: each way in which a repeated decision could be a lie.
import { expect, test } from 'vitest'
import type { Decision, PolicyInput } from '../../src/core/decision.ts'
import { createDecisionCache } from '../../src/policy/decision-cache.ts'
import { policyInput, STREAMING } from '../fixtures/policy-input.ts'

const START_NS = 1_795_514_400_000_000_000n
const ALLOW: Decision = {
  decision: 'allow',
  mode: 'enforce',
  grounds: ['declared'],
  reasons: [],
  exception: null,
  policyVersion: '1.0.0',
  revision: 'one',
  validUntilNs: START_NS + 1_000_000n,
}

function setUp({ maxAgeMs = Infinity, maxEntries }: { maxAgeMs?: number; maxEntries?: number } = {}) {
  const state = { inForce: { revision: 'one' }, ms: 0, obstacle: undefined as 'blocked' | undefined }
  const cache = createDecisionCache({
    inForce: () => state.inForce,
    obstacle: () => state.obstacle,
    maxAgeMs,
    monotonic: () => state.ms,
    ...(maxEntries === undefined ? {} : { maxEntries }),
  })
  /** Looks, and keeps `decision` where the cache has none. */
  const ask = (input: PolicyInput, decision: Decision | undefined = ALLOW): 'hit' | 'miss' | 'bypass' => {
    const found = cache.look(input)
    if (found === undefined) return 'bypass'
    if (typeof found === 'object') return 'hit'
    found(decision)
    return 'miss'
  }
  return { ...cache, state, ask }
}

const call = (atNs = START_NS, capability = 'stream:text_events', who = STREAMING): PolicyInput =>
  policyInput(who, capability, atNs)

test('a repeated decision names the call that it was made for', () => {
  const { look, ask } = setUp()
  const first = call()
  ask(first)
  expect(look(call())).toEqual({ ...ALLOW, repeats: first.context.decision_id })
  expect(look(call())).toEqual({ ...ALLOW, repeats: first.context.decision_id })
})

test('every part of the input but the instant and the id makes another question', () => {
  const { ask } = setUp()
  ask(call())
  const { identity, action, context } = call()
  const others = [
    call(START_NS, 'stream:sse_events'),
    call(START_NS, 'convert:text_events'),
    call(START_NS, 'stream:text_events', 'spiffe://crank.local/worker/other'),
    { identity: { ...identity, trust_domain: 'other' }, action, context },
    { identity, action, context: { ...context, priority: 'high' } },
    { identity, action, context: { ...context, origin: 'spiffe://crank.local/worker/other' } },
    { identity, action, context: { ...context, depth: 1 } },
    { identity, action, context: { ...context, later: 'a member of a later version' } },
    { identity, action, context, later: 1 },
  ] as PolicyInput[]
  for (const other of others) expect(ask(other)).toBe('miss')
  expect(ask({ identity, action, context: { ...context, timestamp: 'x', decision_id: 'y' } })).toBe('hit')
})

test.each([
  ['at the instant of the first', 0n, 'hit'],
  ['one nanosecond before its end', 999_999n, 'hit'],
  ['at its end', 1_000_000n, 'miss'],
  ['after its end', 2_000_000n, 'miss'],
  ['before the first, after a step of the clock', -1n, 'miss'],
])('%s', (_when, offsetNs, expected) => {
  const { ask } = setUp()
  ask(call())
  expect(ask(call(START_NS + offsetNs))).toBe(expected)
})

test.each<[string, Decision | undefined, string]>([
  ['no decision', undefined, 'fault'],
  ['a decision without validity', { ...ALLOW, validUntilNs: undefined } as unknown as Decision, 'not_cacheable'],
  ['a decision of the own block list', { ...ALLOW, policyVersion: null }, 'not_cacheable'],
  ['a decision in shadow mode', { ...ALLOW, mode: 'shadow' }, 'shadow'],
  ['a decision of another revision', { ...ALLOW, revision: 'two' }, 'revision'],
  [
    'a very long decision',
    { ...ALLOW, decision: 'deny', reasons: [{ code: 'x', message: 'm'.repeat(2000) }] },
    'too_large',
  ],
])('%s is not kept', (_what, decision, reason) => {
  const { look, ask, counts } = setUp()
  const found = look(call())
  if (typeof found === 'function') found(decision)
  expect(ask(call())).toBe('miss')
  expect(counts()).toMatchObject({ hit: 0, miss: 1, bypass: { [reason]: 1 } })
})

test('a denial is kept like an allow', () => {
  const { look, ask } = setUp()
  const denial: Decision = { ...ALLOW, decision: 'deny', grounds: [], reasons: [{ code: 'x', message: 'no' }] }
  ask(call(), denial)
  expect(look(call())).toMatchObject({ decision: 'deny', reasons: denial.reasons })
})

test.each(['another policy', 'a clearing'])('%s drops all, and the answers that are under way', (what) => {
  const { look, ask, clear, state, counts } = setUp()
  ask(call())
  const underWay = look(call(START_NS, 'stream:sse_events'))
  if (what === 'a clearing') clear()
  else state.inForce = { revision: 'one' }
  if (typeof underWay === 'function') underWay(ALLOW)
  expect(counts().bypass.changed).toBe(1)
  expect([ask(call()), ask(call(START_NS, 'stream:sse_events'))]).toEqual(['miss', 'miss'])
})

test('an obstacle is looked for before each hit', () => {
  const { ask, state, counts } = setUp()
  ask(call())
  state.obstacle = 'blocked'
  expect(ask(call())).toBe('bypass')
  state.obstacle = undefined
  expect([ask(call()), counts().bypass.blocked]).toEqual(['hit', 1])
})

test('a decision is no older than the limit, from when it was asked', () => {
  const { look, state } = setUp({ maxAgeMs: 1000 })
  const keep = look(call())
  state.ms = 600
  if (typeof keep === 'function') keep(ALLOW)
  state.ms = 1000
  expect(look(call())).toMatchObject({ decision: 'allow' })
  state.ms = 1001
  expect(look(call())).toBeTypeOf('function')
})

test('another revision stops it for a second, and drops all', () => {
  const { ask, noteRevision, state } = setUp()
  ask(call())
  noteRevision('one')
  expect(ask(call())).toBe('hit')
  noteRevision('two')
  expect(ask(call())).toBe('bypass')
  state.ms = 1000
  expect([ask(call()), ask(call())]).toEqual(['miss', 'hit'])
})

test('it is bounded; the oldest goes first', () => {
  const { ask, counts } = setUp({ maxEntries: 10 })
  for (let n = 0; n <= 10; n++) ask(call(START_NS, `stream:c${n}`))
  expect(counts().entries).toBe(10)
  expect([ask(call(START_NS, 'stream:c10')), ask(call(START_NS, 'stream:c0'))]).toEqual(['hit', 'miss'])
})
