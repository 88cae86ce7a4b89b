// The self-check asks about one blocked call where the block list has any.
import { expect, test } from 'vitest'
import { createBlockProbe } from '../../../src/controller/live-policy/block-probe.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { createSelfCheck } from '../../../src/policy/engine/self-check.ts'
import type { Decide, Decision, PolicyEngine, PolicyInput } from '../../../src/core/decision.ts'
import { AppError } from '../../../src/core/errors.ts'
import { blockedJson } from '../../fixtures/live-policy.ts'
import { copyPolicies } from '../../fixtures/policy-dir.ts'
import { STREAMING } from '../../fixtures/policy-input.ts'

const COMMON = { mode: 'enforce', exception: null, policyVersion: '1' } as const
const deny = (code: string): Decision => {
  return { ...COMMON, decision: 'deny', grounds: [], reasons: [{ code, message: 'no' }] }
}
const ALLOW: Decision = { ...COMMON, decision: 'allow', grounds: ['declared'], reasons: [] }
const IGNORANT = { code: 'policy_not_ready', reason: 'the policy does not enforce the block list' }

async function filesWith(blocked: string): Promise<PolicyFiles> {
  await using policies = await copyPolicies({ 'data/blocked.json': blocked })
  return await loadPolicyFiles(policies.dir, Date.now())
}

/** Denies strangers, and says `about` of the caller or capability that is named. */
const engine = (name: string, about: Decision): PolicyEngine => {
  const decide: Decide = (_question, { identity, action }) => {
    if (identity.spiffe_id.includes('stranger')) return Promise.resolve(deny('worker_unknown'))
    const isMeant = identity.spiffe_id === name || `${action.verb}:${action.capability}` === name
    return Promise.resolve(isMeant ? about : ALLOW)
  }
  return { name: 'opa-http', decide, close: () => Promise.resolve() }
}
const CAPABILITY = 'invoke:hello_world'
const capabilities = JSON.stringify({ blocked: { capabilities: { [CAPABILITY]: 'a test' } } })

test.each<[string, string, string, Decision, boolean]>([
  ['an identity that is denied as blocked', blockedJson(STREAMING), STREAMING, deny('identity_blocked'), true],
  ['an identity that is allowed', blockedJson(STREAMING), STREAMING, ALLOW, false],
  ['an identity denied for another reason', blockedJson(STREAMING), STREAMING, deny('worker_unknown'), false],
  ['a capability that is denied as blocked', capabilities, CAPABILITY, deny('capability_blocked'), true],
  ['a capability that is allowed', capabilities, CAPABILITY, ALLOW, false],
])('%s', async (_what, blocked, name, answer, passes) => {
  const files = await filesWith(blocked)
  const fault = await createSelfCheck({ engine: engine(name, answer), files, now: Date.now })()
  if (passes) expect(fault).toBeUndefined()
  else expect(fault).toMatchObject(IGNORANT)
})

test.each<[string, (decisions: Decision[]) => Decision[], string | undefined]>([
  ['answers as alone', (decisions) => decisions, undefined],
  ['allows a stranger', ([, ...others]) => [ALLOW, ...others], 'the policy allows an unknown caller'],
  [
    'denies the sample',
    ([first, , ...others]) => [first!, deny('worker_unknown'), ...others],
    'the policy denies a call',
  ],
  ['allows who is blocked', (decisions) => [...decisions.slice(0, 2), ALLOW], 'the policy does not enforce'],
  ['has no answers', () => [], 'the policy does not enforce'],
])('a batch that %s', async (_what, spoil, reason) => {
  const files = await filesWith(blockedJson(STREAMING))
  const honest = engine(STREAMING, deny('identity_blocked'))
  const decideTogether = async (inputs: readonly PolicyInput[]): Promise<Decision[]> =>
    spoil(await Promise.all(inputs.map((input) => honest.decide('capability_access', input))))
  const fault = await createSelfCheck({ engine: { ...honest, decideTogether }, files, now: Date.now })()
  expect(fault?.reason).toEqual(reason === undefined ? undefined : expect.stringContaining(reason))
})

test('a batch without a decision is a fault', async () => {
  const files = await filesWith(blockedJson())
  const decideTogether = () => Promise.reject(new AppError('policy_engine_error'))
  const check = createSelfCheck({ engine: { ...engine('', ALLOW), decideTogether }, files, now: Date.now })
  expect(await check()).toMatchObject({ code: 'policy_not_ready', reason: 'the policy engine gives no valid decision' })
})

test('an entry that the data in force does not have is not asked about, nor is one of the data that is free by now', async () => {
  const files = await filesWith(blockedJson(STREAMING))
  const nobody = { identities: new Set<string>(), capabilities: new Set<string>(), certificates: new Set<string>() }
  const check = (more: Partial<PolicyFiles>) =>
    createSelfCheck({ engine: engine(STREAMING, ALLOW), files: { ...files, ...more }, now: Date.now })()
  expect(await check({ blockedInData: nobody })).toBeUndefined()
  expect(await check({ blocked: nobody })).toBeUndefined()
})

test('a manifest whose sample call is blocked by now has no call to try', async () => {
  const files = await filesWith(blockedJson())
  const { spiffeId } = files.sampleAllow!
  const blocked = { identities: new Set([spiffeId]), capabilities: new Set<string>(), certificates: new Set<string>() }
  const newer = { ...files, blocked }
  const check = createSelfCheck({ engine: engine(spiffeId, deny('identity_blocked')), files: newer, now: Date.now })
  expect(await check()).toBeUndefined()
})

test('a new entry has five seconds to reach a sidecar, one from the start none', () => {
  let nowMs = 0
  const probe = createBlockProbe(() => nowMs)
  const list = (...names: string[]) => ({
    identities: new Set(names),
    capabilities: new Set<string>(),
    certificates: new Set<string>(),
  })
  expect(probe(list('old'))('old')).toBe(true)
  const both = list('old', 'new')
  expect([probe(both)('old'), probe(both)('new')]).toEqual([true, false])
  nowMs = 5000
  expect([probe(both)('old'), probe(both)('new')]).toEqual([true, true])
})
