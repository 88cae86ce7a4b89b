// Policy changes on a live controller, embedded and with a real OPA --watch: nothing is restarted, nothing fails, and
// the audit log tells it.
import { appendFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess } from '../fixtures/controller-process.ts'
import { blockedJson, replaceFile } from '../fixtures/live-policy.ts'
import { HELLO, postJson, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { createParties } from '../fixtures/parties.ts'
import { copyPolicies, POLICY_DIR, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

const ID = `spiffe://crank.local/${STREAMING}`
const HELLO_ID = `spiffe://crank.local/${HELLO}`
const BLOCKED = 'data/blocked.json'
const CLIENTS = 8

/** Callers that call one after the other until they are stopped. */
function startLoad(call: () => Promise<Answer>): { readonly answers: Answer[]; stop(): Promise<Answer[]> } {
  const answers: Answer[] = []
  let stopped = false
  const client = async (): Promise<void> => {
    while (!stopped) answers.push(await call())
  }
  const clients = Promise.all(Array.from({ length: CLIENTS }, client))
  return {
    answers,
    async stop() {
      stopped = true
      await clients
      return answers
    },
  }
}

for (const kind of ['embedded', 'sidecar'] as const) {
  describe(`a live controller (${kind})`, () => {
    let policies: PolicyDir
    let opa: OpaServer | undefined
    let mesh: Mesh
    let worker: FakeWorker
    let shipped: string

    beforeAll(async () => {
      policies = await copyPolicies()
      shipped = await readFile(join(POLICY_DIR, BLOCKED), 'utf8')
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

    const call = (): Promise<Answer> => mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world' })
    const restore = (): Promise<void> => replaceFile(policies.dir, BLOCKED, shipped)
    const revision = async (): Promise<unknown> =>
      (JSON.parse((await mesh.admin('/health')).text) as { policy_revision: unknown }).policy_revision
    const changes = async (): Promise<AuditLine[]> =>
      // The block list may be in force before an OPA that takes its time: that is a record of its own.
      (await mesh.audit()).filter((line) => line.event === 'policy_changed' && line['scope'] === 'policy')
    const metric = async (name: string): Promise<string | undefined> =>
      (await mesh.admin('/metrics')).text.split('\n').find((line) => line.startsWith(name))

    test('under load goes from allow to deny and back, and no request fails', async () => {
      const before = await revision()
      const load = startLoad(call)
      const sees = (status: number) => () =>
        load.answers.slice(-2 * CLIENTS).every((answer) => answer.status === status)
      await until('calls are answered', () => load.answers.length > 20)
      await replaceFile(policies.dir, BLOCKED, blockedJson(ID))
      await until('all are denied', sees(403))
      await until('it is recorded', async () => (await changes()).length === 1)
      const denying = await revision()
      await restore()
      await until('all are allowed', sees(200))
      await until('it is recorded', async () => (await changes()).length === 2)
      const answers = await load.stop()
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 403]))
      const [there, back] = await changes()
      expect(there).toMatchObject({ old_revision: before, new_revision: denying })
      expect(back).toMatchObject({ old_revision: denying, new_revision: before })
    })

    test('records what changed', async () => {
      const [first] = await changes()
      expect(first).toMatchObject({
        engine: kind === 'embedded' ? 'opa-wasm' : 'opa-http',
        changed: {
          files: [BLOCKED],
          files_changed: 1,
          blocked_identities: { added: 1, removed: 0, changed: 0, names: [`+${ID}`] },
          workers: { added: 0, removed: 0, changed: 0, names: [] },
        },
      })
    })

    test('shows the revision, its age and the last confirmation, and counts the changes', async () => {
      const shown = String(await revision())
      expect(await metric('controller_policy_revision_info')).toContain(`revision="${shown}"`)
      expect(await metric('controller_policy_age_seconds')).toBeDefined()
      expect(await metric('controller_policy_reload_total{result="ok"}')).toMatch(/ 2$/)
      const confirmed = await metric('controller_policy_last_success_timestamp_seconds')
      expect(Number(confirmed?.split(' ')[1]) * 1000).toBeGreaterThan(Date.now() - 60_000)
      expect(await metric('controller_policy_stale')).toMatch(/ 0$/)
    })

    test('stamps each decision with the revision that gave it', async () => {
      const answer = await call()
      const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
      expect(record['policy_revision']).toBe(await revision())
    })

    test('refuses a blocked identity on its open connection, for calls, registrations and heartbeats', async () => {
      const pool = await mesh.client(HELLO)
      let connections = 0
      pool.on('connect', () => (connections += 1))
      const ask = (path: string, body: object) => mesh.request(HELLO, postJson(path, body))
      const own = { verb: 'invoke', capability: 'hello_world' }
      const before = await revision()
      const { body: registered } = await worker.register()
      const claim = { worker_id: 'worker-hello-world', lease: registered.lease as string }
      expect([(await ask('/route', own)).status, (await ask('/heartbeat', claim)).status]).toEqual([200, 200])
      connections = 0
      await replaceFile(policies.dir, BLOCKED, blockedJson(HELLO_ID))
      // A sidecar may know before the controller does, but only of calls and registrations.
      await until('it is refused', async () => (await ask('/heartbeat', claim)).status === 403)
      expect(connections).toBe(0)
      const refused = {
        status: 403,
        body: { error: 'capability_access_denied', reason_code: 'identity_blocked' },
      }
      expect(await ask('/route', own)).toMatchObject(refused)
      expect(await ask('/heartbeat', claim)).toMatchObject(refused)
      expect(await ask('/deregister', claim)).toMatchObject(refused)
      expect(await worker.register()).toMatchObject(refused)
      // Others are no longer routed to it.
      await until('its worker is out', async () => (await call()).body.error === 'no_worker_available')
      expect(await mesh.auditedAs(({ event }) => event === 'worker_evicted')).toMatchObject({
        requester_spiffe_id: HELLO_ID,
        worker_id: 'worker-hello-world',
        reasons: [{ code: 'identity_blocked' }],
      })
      await restore()
      await until('it may register again', async () => (await worker.register()).status === 200)
      // A sidecar decides by its new files before the controller has taken note of them.
      await until('the change back is noted', async () => (await revision()) === before)
      expect((await call()).status).toBe(200)
    })

    test('keeps the last good policy on a bad one, stays ready, and counts it', async () => {
      const good = await revision()
      await replaceFile(policies.dir, BLOCKED, '{"blocked": {')
      const failed = () => metric('controller_policy_reload_total{result="failed"}')
      await until('it is counted', async () => (await failed())?.endsWith(' 1') === true)
      expect([(await call()).status, (await mesh.admin('/readyz')).status, await revision()]).toEqual([200, 200, good])
      await restore()
    })
  })
}

describe('a controller whose policy.wasm is of other Rego', () => {
  test('starts with the Rego compiled by OPA, and leaves the folder as it is', async () => {
    const parties = await createParties()
    await using policies = await copyPolicies()
    await appendFile(join(policies.dir, 'common.rego'), '# a change\n')
    await rm(join(policies.dir, 'policy.wasm'))
    const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
    const { HOME } = process.env
    const controller = await startControllerProcess({ ...env, HOME, CRANK_POLICY_DIR: policies.dir })
    expect(controller.log.map(({ event }) => event)).toContain('policy_compiled')
    expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })
    await parties.close()
  })
})
