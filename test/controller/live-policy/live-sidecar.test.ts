// A real OPA with --watch, and a live policy that must know which files it has.
import { appendFile, copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { WatchLimits } from '../../../src/controller/live-policy/policy-watch.ts'
import { blockedJson, observePolicy, replaceFile, type Observed } from '../../fixtures/live-policy.ts'
import { startOpa, type OpaOptions, type OpaServer } from '../../../scripts/lab/opa-server.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { policyInput } from '../../fixtures/policy-input.ts'
import { until } from '../../fixtures/until.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const NS = 1795514400000000000n
/** Where no fault may be reported: on a loaded machine OPA needs more than a second to take over what is on disk. */
const PATIENT = { faultMs: 60_000 }

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function start(options: OpaOptions): Promise<OpaServer> {
  const opa = await startOpa(options)
  cleanUps.push(() => opa.kill())
  return opa
}

/** A folder of its own, OPA on it, and the live policy beside it. */
async function setUp(
  options: OpaOptions = {},
  limits: Partial<WatchLimits> = {},
): Promise<{ dir: string; live: Observed; opa: OpaServer }> {
  const policies = await copyPolicies()
  cleanUps.push(() => policies[Symbol.asyncDispose]())
  const opa = await start({ policyDir: policies.dir, ...options })
  const live = await observePolicy({ policyDir: policies.dir, opa: opa.target, limits })
  cleanUps.push(() => live[Symbol.asyncDispose]())
  return { dir: policies.dir, live, opa }
}

const decisionOf = async ({ decide }: Observed): Promise<string> =>
  (await decide(STREAMING, 'invoke:hello_world')).decision
const untilDecides = (live: Observed, decision: string): Promise<void> =>
  until(`it decides ${decision}`, async () => (await decisionOf(live)) === decision)
const untilChanges = (live: Observed, count: number): Promise<void> =>
  until(`${count} changes are in force`, () => live.changes.length === count)

describe('files with --watch', () => {
  test('a change of data is in force, reported and reverted; the revision is that of the files', async () => {
    const { dir, live } = await setUp({}, PATIENT)
    const first = live.policy.revision()
    await replaceFile(dir, 'data/blocked.json', blockedJson(STREAMING))
    await untilDecides(live, 'deny')
    await untilChanges(live, 1)
    expect(live.changes[0]).toMatchObject({
      previous: { revision: first },
      changed: { files: ['data/blocked.json'], blocked_identities: { added: 1, names: [`+${STREAMING}`] } },
    })
    expect(await live.decide(STREAMING, 'invoke:hello_world')).toMatchObject({ revision: live.policy.revision() })
    await copyFile(join(POLICY_DIR, 'data/blocked.json'), join(dir, 'data/blocked.json'))
    await untilChanges(live, 2)
    expect(live.policy.revision()).toBe(first)
    expect([await decisionOf(live), live.faults]).toEqual(['allow', []])
  })

  test('19 digits are compared to the last one', async () => {
    const { dir, live } = await setUp({}, PATIENT)
    const exceptions = (ns: bigint): string => `{
      "${STREAMING}": {"capabilities": ["a:b"], "expires_after": ${ns}, "created_at": "2026-11-01T00:00:00Z",
      "reason": "a test", "owner": "crank"}}`
    await replaceFile(dir, 'data/exceptions.json', exceptions(NS))
    await untilChanges(live, 1)
    await replaceFile(dir, 'data/exceptions.json', exceptions(NS + 1n))
    await untilChanges(live, 2)
    expect(live.changes[1]?.changed.exceptions).toMatchObject({ changed: 1, names: [`~${STREAMING}`] })
    expect(live.faults).toEqual([])
  })

  test('a change of Rego needs no policy.wasm', async () => {
    const { dir, live } = await setUp()
    await rm(join(dir, 'policy.wasm'))
    const rego = await readFile(join(dir, 'capability_access.rego'), 'utf8')
    const changed = rego.replace('_refusal("capability_not_declared", "")', '_refusal("capability_not_declared", "!")')
    await replaceFile(dir, 'capability_access.rego', changed)
    await untilChanges(live, 1)
    const { reasons } = await live.decide(STREAMING, 'convert:document_to_pdf')
    expect(reasons[0]?.message).toMatch(/!$/)
  })

  test('the sample call of the self-check is taken away: no decision is refused for it', async () => {
    const { dir, live } = await setUp()
    const { sampleAllow } = live.policy.files()
    const text = await readFile(join(dir, 'data/worker_manifests.json'), 'utf8')
    const manifests = JSON.parse(text) as { workers: Record<string, unknown> }
    const others = Object.entries(manifests.workers).filter(([id]) => id !== sampleAllow!.spiffeId)
    const workers = JSON.stringify({ workers: Object.fromEntries(others) })
    await replaceFile(dir, 'data/worker_manifests.json', workers)
    await until('it is in force', async () => {
      expect(await decisionOf(live)).toBe('allow')
      return live.changes.length === 1
    })
    expect(live.policy.files().sampleAllow).not.toEqual(sampleAllow)
    expect(live.policy.ready()).toEqual({ ok: true })
  })

  test.each<[string, (dir: string) => Promise<void>, string]>([
    ['JSON that is cut off', (dir) => writeFile(join(dir, 'data/blocked.json'), '{"bl'), 'blocked.json'],
    [
      'Rego that does not parse',
      (dir) => appendFile(join(dir, 'common.rego'), 'broken {'),
      'OPA has not loaded it: it has different Rego',
    ],
    ['a data folder that is gone', (dir) => rm(join(dir, 'data'), { recursive: true }), 'no such file'],
  ])('%s leaves the last good one in force, and says so', async (_what, spoil, reason) => {
    const { dir, live } = await setUp()
    const revision = live.policy.revision()
    await spoil(dir)
    await live.untilEvent('policy_change_refused')
    expect(live.faults).toEqual([expect.stringContaining(reason)])
    expect([live.policy.revision(), await decisionOf(live), live.policy.ready().ok]).toEqual([revision, 'allow', true])
  })
})

describe('an OPA whose files are not those of the folder', () => {
  test('since it does not watch them: the change is said not to be in force, and the revision stays', async () => {
    const { dir, live, opa } = await setUp({ watch: false })
    const revision = live.policy.revision()
    await replaceFile(dir, 'data/blocked.json', blockedJson(STREAMING))
    await live.untilEvent('policy_change_refused')
    expect(live.faults).toEqual(['OPA has not loaded it: it has different data'])
    // The block list is the controller's own: it does not wait for OPA.
    expect([live.policy.revision(), await decisionOf(live)]).toEqual([revision, 'deny'])
    expect(live.changes.map(({ scope }) => scope)).toEqual(['blocked'])
    await opa.kill()
    await start({ policyDir: dir, port: opa.port })
    await until('the whole change is in force', () => live.policy.revision() !== revision)
    expect(live.changes.map(({ scope }) => scope)).toEqual(['blocked', 'policy'])
    expect(await decisionOf(live)).toBe('deny')
  })

  test('from the start: decisions carry a name of what OPA has, not the revision of the folder', async () => {
    await using other = await copyPolicies({ 'data/blocked.json': blockedJson('spiffe://crank.local/worker/x') })
    const opa = await start({ policyDir: other.dir })
    await using live = await observePolicy({ opa: opa.target })
    await until('it is noticed', () => live.faults.length > 0)
    expect(live.faults).toEqual(['OPA has different data than the policy folder'])
    expect(live.policy.revision()).toMatch(/^opa-[0-9a-f]{12}$/)
    expect(await live.decide(STREAMING, 'invoke:hello_world')).toMatchObject({ revision: live.policy.revision() })
    expect(live.changes[0]).toMatchObject({ previous: { revision: live.policy.files().revision } })
  })

  test('because batch.rego is not among them: calls are asked alone, and the log says so once', async () => {
    const opa = await start({ policyDir: POLICY_DIR, without: ['batch.rego'] })
    await using live = await observePolicy({ opa: opa.target })
    await live.untilEvent('policy_batches_missing')
    const asked = Array.from({ length: 100 }, () =>
      live.policy.decide('capability_access', policyInput(STREAMING, 'invoke:hello_world'), null),
    )
    const decisions = await Promise.all(asked)
    expect(new Set(decisions.map(({ decision }) => decision))).toEqual(new Set(['allow']))
    const told = live.events.filter(({ event }) => event === 'policy_batches_missing')
    expect([told.length, live.policy.traffic?.().lacksBatches]).toEqual([1, true])
  })

  test('and that does not say what it has: it decides, and the log says that nobody can tell', async () => {
    // Decisions only, as a system.authz of somebody's own may have it.
    const authz = `package system.authz

allow if input.path == ["health"]

allow if input.path[4] == "decision"
`
    await using silent = await copyPolicies({ 'system_authz.rego': authz })
    const opa = await start({ policyDir: silent.dir })
    await using live = await observePolicy({ policyDir: silent.dir, opa: opa.target })
    await live.untilEvent('policy_unverified')
    expect([await decisionOf(live), live.policy.isStale(), live.faults]).toEqual(['allow', false, []])
    await replaceFile(silent.dir, 'data/blocked.json', blockedJson(STREAMING))
    await untilDecides(live, 'deny')
  })
})
