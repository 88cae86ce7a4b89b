// CRANK_DECISION_CACHE=on, as callers and auditors see it: with the embedded engine, and with a real OPA.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startOpa } from '../../scripts/lab/opa-server.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { blockedJson, replaceFile } from '../fixtures/live-policy.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { STREAMING as STREAMING_ID } from '../fixtures/policy-input.ts'
import { until } from '../fixtures/until.ts'

const ENGINES: Record<string, (policyDir: string) => Promise<{ env: NodeJS.ProcessEnv; stop: () => Promise<void> }>> = {
  embedded: () => Promise.resolve({ env: {}, stop: () => Promise.resolve() }),
  sidecar: async (policyDir) => {
    const opa = await startOpa({ policyDir })
    // Not a timing test: a loaded machine must not turn an answer into a timeout.
    return { env: { OPA_URL: opa.url, OPA_TIMEOUT_MS: '20000' }, stop: () => opa.stop() }
  },
}

describe.each(Object.keys(ENGINES))('with the engine %s', (name) => {
  let policies: PolicyDir
  let engine: Awaited<ReturnType<(typeof ENGINES)[string]>>
  let mesh: Mesh
  let worker: FakeWorker
  beforeAll(async () => {
    policies = await copyPolicies({})
    engine = await ENGINES[name]!(policies.dir)
    mesh = await startMesh({ env: { ...engine.env, CRANK_POLICY_DIR: policies.dir, CRANK_DECISION_CACHE: 'on' } })
    worker = await startFakeWorker(mesh, greets)
    expect((await worker.register()).status).toBe(200)
  })
  afterAll(async () => {
    await worker.close()
    await mesh.close()
    await engine.stop()
    await policies[Symbol.asyncDispose]()
  })

  const call = (capability = 'hello_world'): Promise<Answer> =>
    mesh.route(STREAMING, { verb: 'invoke', capability, payload: {} })
  const recordOf = (answer: Answer): Promise<Readonly<Record<string, unknown>>> =>
    mesh.auditedAs(
      (line) => line['decision_id'] === answer.headers['x-decision-id'] && line.event === 'policy_decision',
    )

  /** Calls until one is answered from the cache: a self-check empties it. */
  async function repeated(capability?: string): Promise<{ answer: Answer; record: Readonly<Record<string, unknown>> }> {
    let found: { answer: Answer; record: Readonly<Record<string, unknown>> } | undefined
    await until('a decision is repeated', async () => {
      const answer = await call(capability)
      const record = await recordOf(answer)
      if (record['repeats'] === null) return false
      found = { answer, record }
      return true
    })
    return found!
  }

  test('a repeated allow has an id of its own, and the record names the decision that it repeats', async () => {
    const { answer, record } = await repeated()
    expect(answer.status).toBe(200)
    const original = await mesh.auditedAs(
      (line) => line['decision_id'] === record['repeats'] && line.event === 'policy_decision',
    )
    expect(record['decision_id']).not.toBe(original['decision_id'])
    expect(original['repeats']).toBeNull()
    const { decision, grounds, policy_revision, engine: by, requester_spiffe_id, capability } = original
    expect(record).toMatchObject({ decision, grounds, policy_revision, engine: by, requester_spiffe_id, capability })
    expect(Object.keys(record)).toEqual(Object.keys(original))
  })

  test('a repeated denial refuses as the first one did', async () => {
    const { answer, record } = await repeated('nothing_of_mine')
    expect(answer).toMatchObject({ status: 403, body: { error: 'capability_access_denied' } })
    expect(record).toMatchObject({ decision: 'deny', reasons: [{ code: 'capability_not_declared' }] })
  })

  test('the metrics count hits, misses and bypasses', async () => {
    const { text } = await mesh.admin('/metrics')
    expect(text).toMatch(/^controller_decision_cache_total\{result="hit",reason=""\} [1-9]/m)
    expect(text).toMatch(/^controller_decision_cache_total\{result="miss",reason=""\} [1-9]/m)
    expect(text).toMatch(/^controller_decision_cache_total\{result="bypass",reason="not_cacheable"\} \d/m)
    expect(text).toMatch(/^controller_decision_cache_entries \d/m)
  })

  test('a block ends what was allowed, and its end allows again', async () => {
    await repeated()
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson(STREAMING_ID))
    await until('the block is in force', async () => (await call()).status === 403)
    // From then on no call passes.
    for (let n = 0; n < 20; n++) expect((await call()).status).toBe(403)
    await replaceFile(policies.dir, 'data/blocked.json', blockedJson())
    await until('the block is over', async () => (await call()).status === 200)
  })
})
