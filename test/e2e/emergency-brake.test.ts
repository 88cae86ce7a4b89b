// The emergency brake does not hang on what it brakes: a real OPA that comes back without the block list, or with other
// data than the folder, and calls by callers of every kind meanwhile.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { replaceFile } from '../fixtures/live-policy.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { startOpa, type OpaOptions, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const BLOCKED = 'worker/email-classifier'
const BLOCKED_ID = `spiffe://crank.local/${BLOCKED}`
const STREAMING_ID = `spiffe://crank.local/${STREAMING}`
const BLOCKED_CAPABILITY = 'stream:text_events'
/** The block list: an identity and a capability, and whoever else. */
const list = (...more: string[]): string =>
  JSON.stringify({
    blocked: {
      identities: Object.fromEntries([BLOCKED_ID, ...more].map((id) => [id, 'a test'])),
      capabilities: { [BLOCKED_CAPABILITY]: 'a test' },
    },
  })
const CALL = { verb: 'invoke', capability: 'hello_world' }

describe('a file-fed OPA', () => {
  let policies: PolicyDir
  let opa: OpaServer
  let mesh: Mesh
  let worker: FakeWorker

  beforeAll(async () => {
    policies = await copyPolicies({ 'data/blocked.json': list() })
    opa = await startOpa({ policyDir: policies.dir, watch: false })
    mesh = await startMesh({ env: { OPA_URL: opa.url, CRANK_POLICY_DIR: policies.dir } })
    worker = await startFakeWorker(mesh, greets)
    expect((await worker.register()).status).toBe(200)
  })
  afterAll(async () => {
    await worker.close()
    await mesh.close()
    await opa.stop()
    await policies[Symbol.asyncDispose]()
  })

  const call = (who = STREAMING): Promise<Answer> => mesh.route(who, CALL)
  const restart = async (options: Partial<OpaOptions>): Promise<void> => {
    await opa.kill()
    opa = await startOpa({ policyDir: policies.dir, watch: false, port: opa.port, ...options })
  }
  const policyCheck = async (): Promise<{ ok: boolean; reason?: string }> => {
    const { checks } = JSON.parse((await mesh.admin('/readyz')).text) as {
      checks: { name: string; ok: boolean; reason?: string }[]
    }
    return checks.find(({ name }) => name === 'policy')!
  }
  const untilSays = (reason: string): Promise<void> =>
    until(`readiness says ${reason}`, async () => (await policyCheck()).reason === reason, 30_000)
  const isReady = async (): Promise<boolean> => (await mesh.admin('/readyz')).status === 200

  test('is not asked about what is blocked, and the record says whose decision it was', async () => {
    const message = `Worker ${STREAMING_ID} not authorized for capability ${BLOCKED_CAPABILITY}: the capability is blocked`
    const refused = await mesh.route(STREAMING, { verb: 'stream', capability: 'text_events' })
    expect(refused).toMatchObject({
      status: 403,
      body: { error: 'capability_access_denied', reason_code: 'capability_blocked', reason: message },
    })
    const recordOf = (answer: Answer) =>
      mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
    expect(await recordOf(refused)).toMatchObject({
      event: 'policy_decision',
      decision: 'deny',
      mode: 'enforce',
      engine: 'controller',
      policy_version: null,
      reasons: [{ code: 'capability_blocked', message }],
    })
    const answer = await call(BLOCKED)
    expect(answer).toMatchObject({ status: 403, body: { reason_code: 'identity_blocked' } })
    expect(await recordOf(answer)).toMatchObject({
      event: 'policy_decision',
      decision: 'deny',
      reasons: [{ code: 'identity_blocked' }],
    })
  })

  test('that comes back without the block list lets nobody in who is blocked, and is not ready', async () => {
    await restart({ without: ['blocked.json'] })
    const refused: Answer[] = []
    await until('readiness is red', async () => {
      refused.push(await call(BLOCKED))
      return (await policyCheck()).reason === 'the policy does not enforce the block list'
    })
    refused.push(await call(BLOCKED))
    expect(new Set(refused.map(({ status, body }) => `${status} ${String(body.reason_code)}`))).toEqual(
      new Set(['403 identity_blocked']),
    )
    expect(await call()).toMatchObject({ status: 503, body: { error: 'policy_not_ready' } })
    await restart({})
    await until('it is ready again', isReady)
    expect([(await call()).status, (await call(BLOCKED)).status]).toEqual([200, 403])
  })

  test('that has had other data than the folder for five seconds is not ready, until it has the same', async () => {
    await using other = await copyPolicies({
      'data/blocked.json': list('spiffe://crank.local/worker/x'),
    })
    await restart({ policyDir: other.dir })
    await untilSays('OPA has had different data than the policy folder for more than 5 s')
    expect(await call()).toMatchObject({ status: 503, body: { error: 'policy_not_ready' } })
    await restart({})
    await until('it is ready again', isReady)
    expect((await call()).status).toBe(200)
  })

  test('that does not take over a change of the folder is not ready after five seconds', async () => {
    const both = list('spiffe://crank.local/worker/x')
    await replaceFile(policies.dir, 'data/blocked.json', both)
    await untilSays('OPA has had different data than the policy folder for more than 5 s')
    await restart({})
    await until('it is ready again', isReady)
  })

  test('goes on while the folder is at fault; readiness, /health and a metric say so', async () => {
    await replaceFile(policies.dir, 'data/exceptions.json', '{')
    await until('it is said', async () => (await policyCheck()).reason?.includes('exceptions.json') === true)
    expect(await policyCheck()).toMatchObject({ ok: true, reason: expect.stringContaining('not in force') })
    const noted = async () =>
      (await mesh.admin('/metrics')).text
        .split('\n')
        .filter((line) => /^controller_policy_unconfirmed{.* 1$/.test(line))
    expect(await noted()).toEqual(['controller_policy_unconfirmed{cause="folder"} 1'])
    expect([await isReady(), (await call()).status]).toEqual([true, 200])
    await replaceFile(policies.dir, 'data/exceptions.json', '{}')
  })
})
