// A policy folder whose files vanish, or that holds more than the policy: through a running controller, embedded and with a
// real OPA.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { blockedJson } from '../fixtures/live-policy.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { startOpa, type OpaServer } from '../fixtures/opa-server.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const BLOCKED = 'worker/email-classifier'
const BLOCKED_ID = `spiffe://crank.local/${BLOCKED}`
const CALL = { verb: 'invoke', capability: 'hello_world' }

for (const kind of ['embedded', 'sidecar'] as const) {
  describe(`a policy folder (${kind})`, () => {
    let policies: PolicyDir
    let opa: OpaServer | undefined
    let mesh: Mesh
    let worker: FakeWorker

    beforeAll(async () => {
      policies = await copyPolicies({ 'data/blocked.json': blockedJson(BLOCKED_ID) })
      opa = kind === 'sidecar' ? await startOpa({ policyDir: policies.dir }) : undefined
      const engine = opa === undefined ? {} : { OPA_URL: opa.url }
      mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir, ...engine } })
      worker = await startFakeWorker(mesh, greets)
      expect((await worker.register()).status).toBe(200)
    })
    afterAll(async () => {
      await worker.close()
      await mesh.close()
      await opa?.stop()
      await policies[Symbol.asyncDispose]()
    })

    const call = (who = STREAMING): Promise<Answer> => mesh.route(who, CALL)
    const readiness = async (): Promise<{ status: number; text: string }> => mesh.admin('/readyz')
    const untilSaid = (what: string): Promise<void> =>
      until(`readiness says ${what}`, async () => (await readiness()).text.includes(what))
    const untilSound = (): Promise<void> =>
      until('nothing is said', async () => !(await readiness()).text.includes('reason'))
    const workers = async (): Promise<number> =>
      (JSON.parse((await mesh.admin('/workers')).text) as { workers: unknown[] }).workers.length

    test.each(['blocked.json', 'worker_manifests.json', 'enforcement.json', 'exceptions.json'])(
      'that has lost %s goes on by the last good set, and says so',
      async (name) => {
        const path = join(policies.dir, 'data', name)
        const text = await readFile(path, 'utf8')
        await rm(path)
        await untilSaid(`${name}: no such file; put it back`)
        expect([(await call()).status, (await call(BLOCKED)).status, await workers()]).toEqual([200, 403, 1])
        expect((await readiness()).status).toBe(200)
        await writeFile(path, text)
        await untilSound()
        expect([(await call()).status, (await call(BLOCKED)).status, await workers()]).toEqual([200, 403, 1])
      },
    )
  })
}

describe('a controller', () => {
  test.each([
    ['blocked.json', 'if nobody is to be blocked', '{"blocked":{"identities":{},"capabilities":{}}}'],
    ['worker_manifests.json', 'if no worker may call or offer anything', '{"workers":{}}'],
    ['exceptions.json', 'if there are no exceptions', '{}'],
    [
      'enforcement.json',
      'if every denial is to be enforced',
      '{"enforcement":{"default":"enforce","callers":{},"capabilities":{}}}',
    ],
  ])('does not start without %s, prints what to create, and starts with just that', async (name, meaning, content) => {
    await using policies = await copyPolicies()
    const path = join(policies.dir, 'data', name)
    await rm(path)
    const env = { CRANK_POLICY_DIR: policies.dir }
    await expect(startMesh({ env })).rejects.toThrow(
      `${path}: no such file; put it back or, ${meaning}, create it with this content: ${content}`,
    )
    await writeFile(path, content)
    const mesh = await startMesh({ env })
    expect((await mesh.admin('/readyz')).status).toBe(200)
    await mesh.close()
  })
})
