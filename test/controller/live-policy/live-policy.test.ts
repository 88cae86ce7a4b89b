// The policy folder changes under a live policy: real files, real wasm, real OPA where Rego has to be compiled.
import { appendFile, chmod, copyFile, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findTool } from '../../../scripts/tools/native-tools.ts'
import { AppError } from '../../../src/core/errors.ts'
import { blockedJson, observePolicy, replaceFile, type Observed } from '../../fixtures/live-policy.ts'
import { compilePolicies, copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { until } from '../../fixtures/until.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const HELLO = 'spiffe://crank.local/worker/hello-world'

const decisionOf = async ({ decide }: Observed, who = STREAMING): Promise<string> =>
  (await decide(who, 'invoke:hello_world')).decision
const untilDecides = (live: Observed, decision: string): Promise<void> =>
  until(`it decides ${decision}`, async () => (await decisionOf(live)) === decision)

describe('a change of data', () => {
  test('is in force without a restart, and back again, each with its own revision', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    const first = live.policy.revision()
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson(STREAMING))
    await untilDecides(live, 'deny')
    expect(await live.decide(STREAMING, 'invoke:hello_world')).toMatchObject({ revision: live.policy.revision() })
    expect(live.policy.revision()).not.toBe(first)
    await copyFile(join(POLICY_DIR, 'data/blocked.json'), join(policies.dir, 'data/blocked.json'))
    await untilDecides(live, 'allow')
    expect(live.policy.revision()).toBe(first)
    expect(live.changes).toHaveLength(2)
    expect(live.faults).toEqual([])
  })

  test('is reported with the files and entries that changed', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    const workers = JSON.parse(await readFile(join(POLICY_DIR, 'data/worker_manifests.json'), 'utf8')) as {
      workers: Record<string, { owner?: string }>
    }
    const { [HELLO]: _removed, ...rest } = workers.workers
    rest[STREAMING] = { ...rest[STREAMING], owner: 'somebody else' }
    await replaceFile(policies.dir, 'data/worker_manifests.json', JSON.stringify({ workers: rest }))
    await until('it is in force', () => live.changes.length === 1)
    expect(live.changes[0]).toMatchObject({
      previous: { revision: expect.stringMatching(/^[0-9a-f]{12}$/) },
      next: { revision: live.policy.revision() },
      changed: {
        files: ['data/worker_manifests.json'],
        files_changed: 1,
        workers: { added: 0, removed: 1, changed: 1, names: [`-${HELLO}`, `~${STREAMING}`] },
        exceptions: { added: 0, removed: 0, changed: 0 },
      },
    })
    expect(live.policy.files().sampleAllow).toBeDefined()
  })

  test('that only moves spaces about is another revision with no entry changed', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    await replaceFile(policies.dir, 'data/blocked.json', '{"blocked":{"identities":{},"capabilities":{}}}\n')
    await until('it is in force', () => live.changes.length === 1)
    expect(live.changes[0]?.changed).toMatchObject({
      files: ['data/blocked.json'],
      blocked_identities: { added: 0, removed: 0, changed: 0 },
    })
  })

  test('is recorded before it decides; what cannot be recorded does not decide, and is tried again', async () => {
    await using policies = await copyPolicies()
    let isWritable = false
    const seen: string[] = []
    await using live = await observePolicy({
      policyDir: policies.dir,
      record: async ({ next }) => {
        if (!isWritable) throw new AppError('audit_unavailable')
        seen.push(`${next.revision} ${await decisionOf(live)}`)
      },
    })
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson(STREAMING))
    await live.untilEvent('policy_change_refused')
    expect(await decisionOf(live)).toBe('allow')
    isWritable = true
    await untilDecides(live, 'deny')
    // The old policy was still deciding when the record was written.
    expect(seen).toEqual([`${live.policy.revision()} allow`])
  })

  test('through a linked folder, as Kubernetes swaps it, is seen', async () => {
    await using before = await copyPolicies()
    await using after = await copyPolicies({ 'data/blocked.json': blockedJson(STREAMING) })
    const link = `${before.dir}-link`
    await symlink(before.dir, link)
    await using live = await observePolicy({ policyDir: link })
    await symlink(after.dir, `${link}.new`)
    await rename(`${link}.new`, link)
    await untilDecides(live, 'deny')
    await rm(link)
  })
})

describe('a change of Rego', () => {
  const REASON = [
    '_refusal("capability_not_declared", "")',
    '_refusal("capability_not_declared", ": changed")',
  ] as const

  test('is compiled with OPA when policy.wasm is of other Rego, into memory', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    const wasm = await readFile(join(policies.dir, 'policy.wasm'))
    const rego = await readFile(join(policies.dir, 'capability_access.rego'), 'utf8')
    await replaceFile(policies.dir, 'capability_access.rego', rego.replace(...REASON))
    await until('it is in force', () => live.changes.length === 1)
    const { reasons } = await live.decide(STREAMING, 'convert:document_to_pdf')
    expect(reasons[0]?.message).toMatch(/: changed$/)
    expect((await readFile(join(policies.dir, 'policy.wasm'))).equals(wasm)).toBe(true)
    expect(live.changes[0]?.changed.files).toEqual(['capability_access.rego'])
  })

  test('whose policy.wasm is built later is the same policy: not changed twice', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    await appendFile(join(policies.dir, 'common.rego'), '# a change\n')
    await until('it is in force', () => live.changes.length === 1)
    await compilePolicies(policies.dir)
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson(STREAMING))
    await untilDecides(live, 'deny')
    expect(live.changes).toHaveLength(2)
    expect(live.events.filter(({ event }) => event === 'policy_compiled')).toHaveLength(1)
  })

  test('without OPA leaves the old policy in force, and says what is missing', async () => {
    await using policies = await copyPolicies()
    const env = { PATH: '', CRANK_CACHE_DIR: policies.dir }
    await using live = await observePolicy({ policyDir: policies.dir, env })
    await appendFile(join(policies.dir, 'common.rego'), '# a change\n')
    await live.untilEvent('policy_change_refused')
    expect(live.faults[0]).toContain('was not built from the Rego beside it')
    expect(await decisionOf(live)).toBe('allow')
  })
})

describe('a block', () => {
  test('is in force while Rego of the same change is compiled', async () => {
    await using policies = await copyPolicies()
    // An OPA that compiles when it is asked to.
    const opa = join(policies.dir, 'opa')
    const real = await findTool('opa')
    await writeFile(
      opa,
      `#!/bin/sh\n[ "$1" = build ] && while [ ! -e ${opa}.go ]; do sleep 0.05; done\nexec ${real} "$@"\n`,
    )
    await chmod(opa, 0o755)
    await using live = await observePolicy({ policyDir: policies.dir, env: { ...process.env, OPA_BIN: opa } })
    const revision = live.policy.revision()
    await appendFile(join(policies.dir, 'common.rego'), '# a change\n')
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson(STREAMING))
    await untilDecides(live, 'deny')
    expect(live.policy.revision()).toBe(revision)
    expect(live.policy.files().blocked).toBe(live.policy.blocked())
    expect([...live.policy.blocked().identities]).toEqual([STREAMING])
    expect(live.changes.map(({ scope }) => scope)).toEqual(['blocked'])
    await writeFile(`${opa}.go`, '')
    await until('the whole change is in force', () => live.policy.revision() !== revision)
    expect(live.changes.map(({ scope }) => scope)).toEqual(['blocked', 'policy'])
    expect(await decisionOf(live)).toBe('deny')
  })

  test('that is at fault itself leaves the list in force, and both faults are reported', async () => {
    await using policies = await copyPolicies({ 'data/blocked.json': blockedJson(STREAMING) })
    await using live = await observePolicy({ policyDir: policies.dir })
    await replaceFile(policies.dir, 'data/exceptions.json', '{')
    await replaceFile(policies.dir, 'data/blocked.json', '{"blocked":{"identities":{}')
    await until('both are told', () => live.faults.some((fault) => /blocked\.json.*\n.*exceptions\.json/.test(fault)))
    expect(await decisionOf(live)).toBe('deny')
  })
})

describe('a bad set leaves the last good one in force, and says so:', () => {
  const ALLOWS_ALL = `package crank.capability_access

import data.crank.common

decision := {
	"allow": true, "mode": "enforce", "grounds": ["declared"], "reasons": [], "exception": null,
	"policy_version": "1", "decision_id": common.decision_id,
}
`
  test.each<[string, (dir: string) => Promise<void>, string]>([
    ['JSON that is cut off', (dir) => writeFile(join(dir, 'data/blocked.json'), '{"blocked": {"ident'), 'blocked.json'],
    ['an empty data file', (dir) => writeFile(join(dir, 'data/enforcement.json'), ''), 'enforcement.json'],
    [
      'data against its schema',
      (dir) => writeFile(join(dir, 'data/enforcement.json'), '{"enforcement":{"default":"off"}}'),
      'enforcement.json',
    ],
    ['Rego that does not parse', (dir) => appendFile(join(dir, 'common.rego'), 'broken {'), 'common.rego'],
    [
      'Rego that allows everybody',
      (dir) => writeFile(join(dir, 'capability_access.rego'), ALLOWS_ALL),
      'an unknown caller',
    ],
    ['a data folder that is gone', (dir) => rm(join(dir, 'data'), { recursive: true }), 'create it with this content'],
    ['a folder that is gone', (dir) => rm(dir, { recursive: true }), 'no such folder'],
  ])('%s', async (_what, spoil, reason) => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    const revision = live.policy.revision()
    await spoil(policies.dir)
    await live.untilEvent('policy_change_refused')
    expect(live.faults).toEqual([expect.stringContaining(reason)])
    expect(live.policy.revision()).toBe(revision)
    expect(await decisionOf(live)).toBe('allow')
    expect(live.policy.ready()).toEqual({ ok: true, reason: expect.stringContaining(reason) })
    expect(live.policy.notes().map(({ cause }) => cause)).toEqual(['folder'])
    expect(live.changes).toEqual([])
  })

  test.each<[string, string, string]>([
    ['data that came later', 'data/regions.json', 'create it with the content {}'],
    ['Rego', 'more_denials.rego', 'create it with only its package line'],
  ])('%s is gone: it was an order, its absence is none', async (_what, name, wayOut) => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    const path = join(policies.dir, name)
    await writeFile(path, name.endsWith('.json') ? '{"regions":{}}' : 'package crank.more_denials\n')
    await until('it is in force', () => live.changes.length === 1)
    const revision = live.policy.revision()
    await rm(path)
    await live.untilEvent('policy_change_refused')
    const message = `${path}: the file was removed; put it back, ${wayOut}, or restart the controller`
    expect([live.faults, live.policy.revision()]).toEqual([[message], revision])
  })

  test('and only once it has stood for a second; a good one after it comes into force', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir })
    const stoodMs: number[] = []
    live.policy.onFault(({ sinceMs }) => stoodMs.push(Date.now() - sinceMs))
    await writeFile(join(policies.dir, 'data/blocked.json'), '{')
    await live.untilEvent('policy_change_refused')
    expect(stoodMs).toEqual([expect.toSatisfy((ms: number) => ms > 950)])
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson(STREAMING))
    await untilDecides(live, 'deny')
    await live.untilEvent('policy_mended')
    expect(live.policy.ready()).toEqual({ ok: true })
  })

  test('a file that is written in pieces is taken over once it is whole, and is not a fault', async () => {
    await using policies = await copyPolicies()
    // A loaded machine may take more than a second between the two pieces.
    await using live = await observePolicy({ policyDir: policies.dir, limits: { faultMs: 60_000 } })
    const path = join(policies.dir, 'data/blocked.json')
    const text = blockedJson(STREAMING)
    await writeFile(path, text.slice(0, 20))
    await until('it was looked at in vain', () => Date.now() - live.policy.lastSuccessMs() > 300)
    await writeFile(path, text)
    await untilDecides(live, 'deny')
    expect(live.faults).toEqual([])
  })
})

describe('freshness', () => {
  const stale = (action: 'warn' | 'degrade' | 'deny') => ({ staleness: { maxMs: 400, action } })
  const spoil = (dir: string): Promise<void> => writeFile(join(dir, 'data/blocked.json'), '{')
  const mend = (dir: string): Promise<void> => replaceFile(dir, 'data/blocked.json', blockedJson())
  /** What the log said last: on a loaded machine it may have been stale, and fresh again, before it was spoiled. */
  const lastSaid = ({ events }: Observed): string | undefined =>
    events.map(({ event }) => event).findLast((event) => ['policy_stale', 'policy_fresh'].includes(event))

  test('is confirmed at every look at an unchanged folder', async () => {
    await using live = await observePolicy(stale('deny'))
    const before = live.policy.lastSuccessMs()
    await until('it is confirmed', () => live.policy.lastSuccessMs() > before && !live.policy.isStale())
  })

  test('warn: is logged, and decides', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir, ...stale('warn') })
    await spoil(policies.dir)
    await until('it is stale, and said so', () => live.policy.isStale() && lastSaid(live) === 'policy_stale')
    expect([live.policy.ready().ok, await decisionOf(live)]).toEqual([true, 'allow'])
    await mend(policies.dir)
    await until('it is said to be fresh', () => lastSaid(live) === 'policy_fresh')
  })

  test('degrade: is not ready, and decides', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir, ...stale('degrade') })
    await spoil(policies.dir)
    await until('readiness is red', () => !live.policy.ready().ok)
    expect(live.policy.ready()).toMatchObject({ reason: expect.stringContaining('CRANK_POLICY_MAX_STALENESS') })
    expect(await decisionOf(live)).toBe('allow')
    await mend(policies.dir)
    await until('readiness is green', () => live.policy.ready().ok)
  })

  test('deny: refuses every decision as policy_not_ready, until it is confirmed again', async () => {
    await using policies = await copyPolicies()
    await using live = await observePolicy({ policyDir: policies.dir, ...stale('deny') })
    await spoil(policies.dir)
    await until('it is stale', () => live.policy.isStale())
    await expect(decisionOf(live)).rejects.toMatchObject({ code: 'policy_not_ready' })
    expect(live.policy.ready().ok).toBe(false)
    await mend(policies.dir)
    await until('it is fresh', () => !live.policy.isStale())
    expect(await decisionOf(live)).toBe('allow')
  })
})
