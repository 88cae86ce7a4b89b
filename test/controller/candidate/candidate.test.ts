// The candidate policy in its thread: real folders, real wasm; whatever becomes of it, nobody waits and nothing throws.
import { appendFile, copyFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  createCandidate,
  type Candidate,
  type CandidateLimits,
  type Comparison,
} from '../../../src/controller/candidate/candidate.ts'
import { createOpaWasm } from '../../../src/policy/engine/opa-wasm.ts'
import { loadPolicyFiles } from '../../../src/policy/data/policy-files.ts'
import type { PolicyEngine } from '../../../src/core/decision.ts'
import { replaceFile } from '../../fixtures/live-policy.ts'
import { compilePolicies, copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'
import { until } from '../../fixtures/until.ts'

const WORKERS = (capabilities: string[]): string =>
  JSON.stringify({
    workers: {
      [STREAMING]: { worker_id: 'worker-streaming', required_capabilities: capabilities, provided_capabilities: [] },
    },
  })
/** Declares one capability that the active policy denies, and lacks one that it allows. */
const OTHER = { 'data/worker_manifests.json': WORKERS(['stream:text_events', 'convert:document_to_pdf']) }
// A rule that would take half an hour, and no memory: a set is gone through without any.
const ENDLESS = `allow if {
	some a in _numbers
	some b in _numbers
	some c in _numbers
	c != c
}

_numbers := {n | some n in numbers.range(1, 3000)}
`

let active: PolicyEngine
beforeAll(async () => {
  active = await createOpaWasm({ files: await loadPolicyFiles(POLICY_DIR, Date.now()), timeoutMs: 20_000 })
})

const running: Candidate[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((candidate) => candidate.close()))
})

function start(policyDir: string, limits: Partial<CandidateLimits> = {}) {
  const events: Record<string, unknown>[] = []
  const compared: Comparison[] = []
  const skipped = { dropped: 0, undecided: 0 }
  const note = (fields: object): void => void events.push(fields as Record<string, unknown>)
  const candidate = createCandidate({
    policyDir,
    env: process.env,
    log: { info: note, warn: note, error: note },
    onCompared: (comparison) => compared.push(comparison),
    onSkipped: (reason, count) => (skipped[reason] += count),
    onRevision: () => undefined,
    limits: { gatherMs: 1, ...limits },
  })
  running.push(candidate)
  const offer = async (capability: string): Promise<void> => {
    const input = policyInput(STREAMING, capability)
    candidate.offer({ input, decision: await active.decide('capability_access', input) })
  }
  const isReady = () => until('the candidate is ready', () => candidate.status().state === 'ready')
  return { candidate, compared, skipped, events, offer, isReady }
}

describe('a candidate policy', () => {
  test('is asked what the active one was asked, and its decisions are counted beside the active ones', async () => {
    await using other = await copyPolicies(OTHER)
    const { candidate, compared, offer, isReady } = start(other.dir)
    await isReady()
    for (const capability of ['stream:text_events', 'invoke:hello_world', 'convert:document_to_pdf', 'a:b', 'a:c']) {
      await offer(capability)
    }
    await until('all are compared', () => compared.length === 5)
    expect(candidate.status()).toEqual({
      state: 'ready',
      reason: null,
      revision: (await loadPolicyFiles(other.dir, Date.now())).revision,
      agreement: { allow: { allow: 1, deny: 1 }, deny: { allow: 1, deny: 2 } },
      dropped: 0,
      undecided: 0,
    })
    const { active: was, candidate: wouldBe } = compared[1]!
    expect([was.decision, wouldBe.decision, wouldBe.reasons[0]?.code]).toEqual([
      'allow',
      'deny',
      'capability_not_declared',
    ])
  })

  test('is not asked where the active one gave no decision', async () => {
    const { candidate, offer, compared, isReady } = start(POLICY_DIR)
    await isReady()
    candidate.offer({ input: policyInput(STREAMING, 'a:b'), decision: undefined })
    await offer('stream:text_events')
    await until('the other is compared', () => compared.length > 0)
    expect(candidate.status()).toMatchObject({ agreement: { allow: { allow: 1 } }, dropped: 0, undecided: 0 })
  })

  test('that is behind has questions dropped and counted, never queued without end', async () => {
    const { candidate, skipped, offer } = start(POLICY_DIR, { queued: 10, gatherMs: 60_000 })
    for (let n = 0; n < 25; n++) await offer('stream:text_events')
    expect([candidate.status().dropped, skipped.dropped]).toEqual([15, 15])
  })

  test('is used as it is changed; a change that is broken leaves the one before in use and says why', async () => {
    await using other = await copyPolicies(OTHER)
    const { candidate, events, isReady } = start(other.dir)
    await isReady()
    const first = candidate.status().revision
    // In one step: an empty file in between would be another fault.
    await replaceFile(other.dir, 'data/worker_manifests.json', '{')
    await until('the fault is seen', () => candidate.status().reason !== null)
    expect(candidate.status()).toMatchObject({
      state: 'ready',
      revision: first,
      reason: expect.stringContaining('worker_manifests.json'),
    })
    await replaceFile(other.dir, 'data/worker_manifests.json', WORKERS([]))
    await until('the change is in use', () => candidate.status().revision !== first)
    expect(candidate.status().reason).toBeNull()
    expect(events.map(({ event }) => event)).toEqual(['candidate_ready', 'candidate_failed', 'candidate_ready'])
  })

  test('whose broken change is taken back is in order again', async () => {
    await using other = await copyPolicies(OTHER)
    const { candidate, isReady } = start(other.dir)
    await isReady()
    await writeFile(join(other.dir, 'data/blocked.json'), '[]')
    await until('the fault is seen', () => candidate.status().reason !== null)
    await copyFile(join(POLICY_DIR, 'data/blocked.json'), join(other.dir, 'data/blocked.json'))
    await until('it is in order', () => candidate.status().reason === null)
  })

  test('whose folder is not there is reported, and used once it is', async () => {
    await using other = await copyPolicies()
    const { candidate, offer, isReady } = start(join(other.dir, 'sub'))
    await until('the fault is seen', () => candidate.status().state === 'failed')
    await offer('stream:text_events')
    await using late = await copyPolicies()
    await symlink(late.dir, join(other.dir, 'sub'))
    await isReady()
  })

  test('with a rule that never ends is ended itself; calls are not held up, and another try is made', async () => {
    await using endless = await copyPolicies()
    const rego = join(endless.dir, 'capability_access.rego')
    await appendFile(rego, ENDLESS)
    await compilePolicies(endless.dir)
    const { candidate, events, offer, skipped, isReady } = start(endless.dir, { answerMs: 300, restartMs: 50 })
    await isReady()
    // Not declared: a plain call would be allowed before any other rule.
    await offer('convert:document_to_pdf')
    const named = (name: string) => events.filter(({ event }) => event === name)
    await until('it is ended', () => named('candidate_failed').length > 0)
    expect(events.at(-1)).toMatchObject({ reason: 'no answer within 300 ms' })
    expect(skipped).toEqual({ dropped: 1, undecided: 0 })
    await until('another try is made', () => named('candidate_ready').length > 1)
    expect(candidate.status()).toMatchObject({ state: 'ready', reason: null, dropped: 1 })
  })

  test('takes nothing any more once it is closed, and close can be repeated', async () => {
    const { candidate, offer, isReady } = start(POLICY_DIR)
    await isReady()
    await candidate.close()
    await offer('stream:text_events')
    await candidate.close()
    expect(candidate.status().dropped).toBe(0)
  })
})
