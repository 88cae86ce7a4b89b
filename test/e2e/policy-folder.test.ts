// A policy folder whose files vanish, or that holds more than the policy: through a running controller, embedded and with a
// real OPA.
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { blockedJson, replaceFile } from '../fixtures/live-policy.ts'
import { HELLO, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

const BLOCKED = 'worker/email-classifier'
const BLOCKED_ID = `spiffe://crank.local/${BLOCKED}`
const HELLO_ID = `spiffe://crank.local/${HELLO}`
/** What editors, systems and syncs leave in a folder. */
const LEFT_BEHIND: Readonly<Record<string, (dir: string) => Promise<unknown>>> = {
  'the lock of an editor, a link to nothing': (dir) => symlink('ada@laptop.4711', join(dir, 'data/.#exceptions.json')),
  'a companion that macOS makes': (dir) =>
    writeFile(join(dir, 'data/._exceptions.json'), Buffer.from([0, 5, 22, 7, 0xff])),
  'a companion of a Rego file': (dir) => writeFile(join(dir, '._common.rego'), Buffer.from([0, 5, 22, 7, 0xff])),
  'the lock of a Rego file': (dir) => symlink('ada@laptop.4711', join(dir, '.#common.rego')),
  'a hidden copy': (dir) => writeFile(join(dir, 'data/.exceptions.json'), '{}'),
  'a folder named like a file': (dir) => mkdir(join(dir, 'data/old.json')),
  'a folder named like Rego': (dir) => mkdir(join(dir, 'old.rego')),
  'a backup': (dir) => writeFile(join(dir, 'data/exceptions.json~'), '{'),
  'a half-made download': (dir) => writeFile(join(dir, 'data/exceptions.json.part'), '{'),
}
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

    const changes = async (): Promise<AuditLine[]> =>
      (await mesh.audit()).filter(({ event }) => event === 'policy_changed')
    const inForce = async (): Promise<unknown> =>
      (JSON.parse((await mesh.admin('/health')).text) as { policy_revision: unknown }).policy_revision

    test('may hold what editors, systems and syncs leave: changes are in force, and nothing is said', async () => {
      for (const leave of Object.values(LEFT_BEHIND)) await leave(policies.dir)
      const before = await inForce()
      await replaceFile(policies.dir, 'data/blocked.json', blockedJson(BLOCKED_ID, 'spiffe://crank.local/worker/x'))
      await until('the change is in force', async () => (await inForce()) !== before)
      expect((await changes()).at(-1)).toMatchObject({ scope: 'policy', changed: { files: ['data/blocked.json'] } })
      expect((await readiness()).text).not.toContain('reason')
      await replaceFile(policies.dir, 'data/blocked.json', blockedJson(BLOCKED_ID))
      await until('the change back is in force', async () => (await inForce()) === before)
    })

    test('with a faulty file does not delay a block: it is in force alone, recorded, and evicts the worker', async () => {
      const exceptions = await readFile(join(policies.dir, 'data/exceptions.json'), 'utf8')
      await replaceFile(policies.dir, 'data/exceptions.json', '{')
      await untilSaid('exceptions.json')
      const [revision, recorded] = [await inForce(), (await changes()).length]
      await replaceFile(policies.dir, 'data/blocked.json', blockedJson(BLOCKED_ID, HELLO_ID))
      await until('it is blocked', async () => (await call(HELLO)).status === 403)
      expect(await call(HELLO)).toMatchObject({ body: { reason_code: 'identity_blocked' } })
      await until('its worker is out', async () => (await workers()) === 0)
      expect((await changes()).slice(recorded)).toMatchObject([
        {
          scope: 'blocked',
          old_revision: revision,
          new_revision: revision,
          changed: { files: ['data/blocked.json'], blocked_identities: { added: 1, names: [`+${HELLO_ID}`] } },
        },
      ])
      expect(await mesh.auditedAs(({ event }) => event === 'worker_evicted')).toMatchObject({
        requester_spiffe_id: HELLO_ID,
        reasons: [{ code: 'identity_blocked' }],
        policy_revision: revision,
      })
      const denial = await call(HELLO)
      const record = await mesh.auditedAs((line) => line['decision_id'] === denial.headers['x-decision-id'])
      expect(record).toMatchObject({ decision: 'deny', policy_revision: revision })
      expect([await inForce(), (await readiness()).status]).toEqual([revision, 200])
      await replaceFile(policies.dir, 'data/blocked.json', blockedJson(BLOCKED_ID))
      await until('it may register again', async () => (await worker.register()).status === 200)
      await replaceFile(policies.dir, 'data/exceptions.json', exceptions)
      await untilSound()
      expect([(await call()).status, (await call(BLOCKED)).status, await inForce()]).toEqual([200, 403, revision])
    })

    test('that is faulty and goes back to the very set in force takes the block back too, recorded', async () => {
      const shipped = await readFile(join(policies.dir, 'data/enforcement.json'), 'utf8')
      const before = (await changes()).length
      await replaceFile(policies.dir, 'data/enforcement.json', '{"enforcement":{"default":"off"}}')
      await replaceFile(policies.dir, 'data/blocked.json', blockedJson(BLOCKED_ID, `spiffe://crank.local/${STREAMING}`))
      await until('it is blocked', async () => (await call()).status === 403)
      // A sidecar may have taken over what the controller's schemas refuse.
      await until('it is recorded', async () => (await changes()).length > before)
      const recorded = (await changes()).length
      await replaceFile(policies.dir, 'data/enforcement.json', shipped)
      await replaceFile(policies.dir, 'data/blocked.json', blockedJson(BLOCKED_ID))
      await until('it is free', async () => (await call()).status === 200)
      await until('it is recorded', async () => (await changes()).length > recorded)
      await untilSound()
    })
  })
}

describe('a controller', () => {
  test('starts on a folder that holds what editors, systems and syncs leave', async () => {
    await using policies = await copyPolicies()
    for (const leave of Object.values(LEFT_BEHIND)) await leave(policies.dir)
    const mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
    expect(JSON.parse((await mesh.admin('/readyz')).text)).toMatchObject({ status: 'ready' })
    await mesh.close()
  })

  test.each([
    ['blocked.json', 'if nothing is blocked', '{"blocked":{"identities":{},"capabilities":{}}}'],
    ['worker_manifests.json', 'if no worker may call or provide anything', '{"workers":{}}'],
    ['exceptions.json', 'if there are no exceptions', '{}'],
    [
      'enforcement.json',
      'if every denial must be enforced',
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
