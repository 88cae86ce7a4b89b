// Signed bundles, made by `opa build`, fetched and verified by a real OPA: the controller knows the revision that decides.
import { dirname } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadPolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { mintKey, startBundleServer, type BundleServer } from '../../fixtures/bundle-server.ts'
import { blockedJson, observePolicy, type Observed } from '../../fixtures/live-policy.ts'
import { startOpa, type OpaServer } from '../../../scripts/lab/opa-server.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { until } from '../../fixtures/until.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const UNSIGNED = 'missing .signatures.json'

let bundles: BundleServer
let opa: OpaServer
beforeEach(async () => {
  bundles = await startBundleServer()
})
afterEach(async () => {
  await opa.kill()
  await bundles.close()
})

const decide = (live: Observed) => live.decide(STREAMING, 'invoke:hello_world')
describe('a bundle', () => {
  test('decides under its revision; the next one is recorded before the first decision of it is given out', async () => {
    await using blocked = await copyPolicies({ 'data/blocked.json': blockedJson(STREAMING) })
    await bundles.offer(POLICY_DIR, { revision: 'release-1' })
    opa = await startOpa({ more: bundles.opaArguments })
    const recorded: (string | null)[][] = []
    await using live = await observePolicy({
      opa: opa.target,
      record: ({ previous, next }) => {
        recorded.push([previous?.revision ?? null, next.revision])
        return Promise.resolve()
      },
    })
    expect(await decide(live)).toMatchObject({ decision: 'allow', revision: 'release-1' })
    expect(live.policy.revision()).toBe('release-1')
    await bundles.offer(blocked.dir, { revision: 'release-2' })
    await until('the second one decides', async () => {
      const { decision, revision } = await decide(live)
      // Whoever gets a decision of a revision finds that revision in the record.
      expect(recorded.map(([, next]) => next)).toContain(revision)
      return decision === 'deny'
    })
    expect(live.policy.revision()).toBe('release-2')
    expect(recorded).toEqual([
      [null, 'release-1'],
      ['release-1', 'release-2'],
    ])
  })

  test('without a revision of its own is named as the controller names the folder', async () => {
    const built = await bundles.offer(POLICY_DIR)
    opa = await startOpa({ more: bundles.opaArguments })
    await using live = await observePolicy({ opa: opa.target })
    expect(built.revision).toBe((await loadPolicyFiles(POLICY_DIR, Date.now())).revision)
    expect(await decide(live)).toMatchObject({ revision: built.revision })
  })

  test('that does not know the block list of the folder is not ready, and whoever is blocked there is refused', async () => {
    await using blocked = await copyPolicies({ 'data/blocked.json': blockedJson(STREAMING) })
    await bundles.offer(POLICY_DIR, { revision: 'without' })
    opa = await startOpa({ more: bundles.opaArguments })
    await using live = await observePolicy({ policyDir: blocked.dir, opa: opa.target, isReady: false })
    // The first look may come before OPA has a bundle at all: that is another reason.
    await expect
      .poll(() => live.policy.ready())
      .toEqual({ ok: false, reason: 'the policy does not enforce the block list' })
    expect(await decide(live)).toMatchObject({ decision: 'deny', reasons: [{ code: 'identity_blocked' }] })
    await bundles.offer(blocked.dir, { revision: 'with' })
    await until('it is ready', () => live.policy.ready().ok)
  })

  test('that was replaced before is refused when it comes back, until it has a new revision', async () => {
    await using blocked = await copyPolicies({ 'data/blocked.json': blockedJson(STREAMING) })
    await bundles.offer(POLICY_DIR, { revision: 'release-1' })
    opa = await startOpa({ more: bundles.opaArguments })
    // Short, so that an answer is late soon.
    await using live = await observePolicy({ opa: opa.target, timeoutMs: 1000 })
    await bundles.offer(blocked.dir, { revision: 'release-2' })
    await until('the second one decides', () => live.policy.revision() === 'release-2')
    const seenAtMs = Date.now()
    await until('an answer of the first one would be late', () => Date.now() - seenAtMs > 2500)
    await bundles.offer(POLICY_DIR, { revision: 'release-1' })
    await until('it is not ready', () => !live.policy.ready().ok)
    expect(live.policy.ready()).toEqual({ ok: false, reason: 'OPA has returned to a bundle that was replaced before' })
    await expect(decide(live)).rejects.toMatchObject({ code: 'policy_not_ready' })
    expect(live.faults).toEqual([expect.stringContaining('the bundle release-1, which was replaced before')])
    await bundles.offer(POLICY_DIR, { revision: 'release-1-again' })
    await until('it is ready', () => live.policy.ready().ok)
    expect(await decide(live)).toMatchObject({ decision: 'allow', revision: 'release-1-again' })
  })

  test('that is not there yet: nothing is decided', async () => {
    opa = await startOpa({ more: bundles.opaArguments })
    await expect(observePolicy({ opa: opa.target, readyLimitMs: 2000 })).rejects.toThrow('the policy is ready')
  })

  test.each<[string, () => Promise<string | null>, string]>([
    ['without a signature', () => Promise.resolve(null), UNSIGNED],
    [
      'signed with another key',
      async () => (await mintKey(dirname(bundles.signingKeyFile), 'other')).privateKeyFile,
      'failed to verify JWT signature',
    ],
  ])('%s leaves the last good one in force, and says so', async (_what, keyOf, reason) => {
    await using blocked = await copyPolicies({ 'data/blocked.json': blockedJson(STREAMING) })
    await bundles.offer(POLICY_DIR, { revision: 'good' })
    opa = await startOpa({ more: bundles.opaArguments })
    await using live = await observePolicy({ opa: opa.target })
    await bundles.offer(blocked.dir, { revision: 'bad', signingKey: await keyOf() })
    await live.untilEvent('policy_change_refused')
    expect(live.faults).toEqual([expect.stringContaining(reason)])
    expect(await decide(live)).toMatchObject({ decision: 'allow', revision: 'good' })
    expect(live.policy.revision()).toBe('good')
  })

  test('whose server is away goes stale by its last poll, and is fresh again when the server is back', async () => {
    await bundles.offer(POLICY_DIR, { revision: 'good' })
    opa = await startOpa({ more: bundles.opaArguments })
    await using live = await observePolicy({ opa: opa.target, staleness: { maxMs: 7000, action: 'deny' } })
    bundles.fail()
    await until('it is stale', () => live.policy.isStale(), 25_000)
    await expect(decide(live)).rejects.toMatchObject({ code: 'policy_not_ready' })
    await bundles.offer(POLICY_DIR, { revision: 'good' })
    await until('it is fresh', () => !live.policy.isStale(), 25_000)
    expect(await decide(live)).toMatchObject({ decision: 'allow' })
  }, 60_000)
})
