// Shadow mode on a real mesh: would-be denials pass and are recorded as such, also while the policy engine is down, hangs
// or lies; what no mode lets pass stays refused throughout.
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { pdpAnswer, pdpResult, startFakePdp, type FakePdp, type PdpAnswer } from '../fakes/pdp.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess } from '../fixtures/controller-process.ts'
import { postJson, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { createParties } from '../fixtures/parties.ts'
import { honestPdpThatBlocks } from '../fixtures/pdp-honest.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine, readAuditLines } from '../fixtures/audit-log.ts'

/** Not declared to use invoke:hello_world; its calls are in shadow. */
const SHADOWED = 'worker/email-classifier'
/** Nor is this one; its calls are enforced. */
const ENFORCED = 'worker/semantic-search'
const BLOCKED = 'worker/image-classifier'
const id = (path: string): string => `spiffe://crank.local/${path}`

const DATA = {
  'data/enforcement.json': JSON.stringify({
    enforcement: {
      default: 'enforce',
      callers: { [id('worker/')]: 'shadow', [id(ENFORCED)]: 'enforce' },
      capabilities: { 'invoke:enforced': 'enforce' },
    },
  }),
  'data/blocked.json': JSON.stringify({
    blocked: { identities: { [id(BLOCKED)]: 'stolen key' }, capabilities: { 'invoke:blocked': 'outage' } },
  }),
}

let policies: PolicyDir
beforeAll(async () => {
  policies = await copyPolicies(DATA)
})
afterAll(() => policies[Symbol.asyncDispose]())

type Party = { mesh: Mesh; worker: FakeWorker }

async function startParty(env: NodeJS.ProcessEnv = {}): Promise<Party> {
  const mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir, ...env } })
  const worker = await startFakeWorker(mesh, greets)
  expect((await worker.register()).status).toBe(200)
  return { mesh, worker }
}

async function stopParty({ mesh, worker }: Party): Promise<void> {
  await worker.close()
  await mesh.close()
}

const call = ({ mesh }: Party, who: string, capability = 'hello_world'): Promise<Answer> =>
  mesh.route(who, { verb: 'invoke', capability, payload: {} })

/** The answer's record of a decision. */
const recordOf = ({ mesh }: Party, answer: Answer, event = 'policy_decision'): Promise<AuditLine> =>
  mesh.auditedAs((line) => line.event === event && line['decision_id'] === answer.headers['x-decision-id'])

async function expectPassed(party: Party, answer: Answer, shadow: string): Promise<AuditLine> {
  expect(answer).toMatchObject({ status: 200, headers: { 'x-crank-shadow': shadow }, body: { greeting: 'hi' } })
  expect((await recordOf(party, answer, 'route_outcome'))['outcome']).toBe('completed')
  const record = await recordOf(party, answer)
  expect(record).toMatchObject({ decision: shadow, mode: 'shadow' })
  return record
}

const metric = async ({ mesh }: Party, line: RegExp): Promise<boolean> => line.test((await mesh.admin('/metrics')).text)

describe('with the embedded engine', () => {
  let party: Party
  beforeAll(async () => {
    party = await startParty()
  })
  afterAll(() => stopParty(party))

  test('a would-be denial passes, is recorded with its reasons, and is counted apart', async () => {
    const record = await expectPassed(party, await call(party, SHADOWED), 'would_deny')
    expect(record['reasons']).toEqual([
      {
        code: 'capability_not_declared',
        message: `Worker ${id(SHADOWED)} not authorized for capability invoke:hello_world`,
      },
    ])
    expect(
      await metric(
        party,
        /^controller_policy_decisions_total\{capability="invoke:hello_world",decision="would_deny"\} 1/m,
      ),
    ).toBe(true)
    expect(await metric(party, /^controller_policy_would_denials_total\{capability="invoke:hello_world"\} 1/m)).toBe(
      true,
    )
    expect(await metric(party, /^controller_policy_denials_total\{capability="invoke:hello_world"\} [1-9]/m)).toBe(
      false,
    )
  })

  test('the raw form says so too, and the worker does not learn it', async () => {
    const answer = await party.mesh.request(SHADOWED, { path: '/route/invoke/hello_world', method: 'POST', body: 'x' })
    await expectPassed(party, answer, 'would_deny')
    expect(party.worker.seen.at(-1)!.headers).not.toHaveProperty('x-crank-shadow')
  })

  test('a call that is allowed carries no mark', async () => {
    const answer = await call(party, STREAMING)
    expect(answer.status).toBe(200)
    expect(answer.headers).not.toHaveProperty('x-crank-shadow')
    expect(await recordOf(party, answer)).toMatchObject({ decision: 'allow', mode: 'shadow' })
  })

  test('an identity without a manifest is in shadow by the prefix of its path', async () => {
    const record = await expectPassed(party, await call(party, 'worker/newcomer'), 'would_deny')
    expect(record['reasons']).toMatchObject([{ code: 'worker_unknown' }])
  })

  test.each([
    ['an enforced caller', ENFORCED, 'hello_world', 'capability_not_declared'],
    ['an enforced capability', SHADOWED, 'enforced', 'capability_not_declared'],
    ['a path outside the prefix', 'workers', 'hello_world', 'worker_unknown'],
    ['a blocked identity', BLOCKED, 'hello_world', 'identity_blocked'],
    ['a blocked capability', SHADOWED, 'blocked', 'capability_blocked'],
  ])('%s is refused', async (_what, who, capability, code) => {
    const answer = await call(party, who, capability)
    expect(answer).toMatchObject({ status: 403, body: { error: 'capability_access_denied', reason_code: code } })
    expect(await recordOf(party, answer)).toMatchObject({ decision: 'deny', mode: 'enforce' })
  })

  test('a registration that policy denies is refused: shadow mode never lets anybody provide', async () => {
    const body = { worker_id: 'worker-email-classifier', worker_url: party.worker.url, capabilities: [] as object[] }
    body.capabilities = [
      {
        verb: 'invoke',
        name: 'hello_world',
        version: '1.0.0',
        input_schema: { type: 'object' },
        output_schema: { type: 'object' },
      },
    ]
    const answer = await party.mesh.request(SHADOWED, postJson('/register', body))
    expect(answer).toMatchObject({ status: 403, body: { error: 'registration_denied' } })
  })

  test('a malformed request is refused as ever', async () => {
    const answer = await party.mesh.route(SHADOWED, { verb: 'Invoke', capability: '*' })
    expect(answer).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
  })

  test('a capability that nobody provides has no worker in shadow either', async () => {
    const answer = await call(party, SHADOWED, 'nothing_of_ours')
    expect(answer).toMatchObject({ status: 404, body: { error: 'capability_unknown' } })
    expect(await recordOf(party, answer)).toMatchObject({ decision: 'would_deny' })
  })

  test('health and metrics show how many entries are in shadow', async () => {
    expect(JSON.parse((await party.mesh.admin('/health')).text)).toMatchObject({
      shadow: { default: 0, callers: 1, capabilities: 0 },
      candidate: null,
    })
    expect(await metric(party, /^controller_policy_shadow_entries\{kind="callers"\} 1$/m)).toBe(true)
  })

  test('a change of the mode is in force without a restart', async () => {
    const file = join(policies.dir, 'data/enforcement.json')
    await writeFile(file, JSON.stringify({ enforcement: { default: 'enforce' } }))
    await until('the call is refused', async () => (await call(party, SHADOWED)).status === 403)
    await writeFile(file, DATA['data/enforcement.json'])
    await until('the call passes', async () => (await call(party, SHADOWED)).status === 200)
  })

  test('an unknown mode is refused, and the last good one stays in force', async () => {
    const file = join(policies.dir, 'data/enforcement.json')
    await writeFile(file, DATA['data/enforcement.json'].replace('"shadow"', '"off"'))
    const refused = /^controller_policy_reload_total\{result="failed"\} [1-9]/m
    await until('the change is refused', () => metric(party, refused))
    await expectPassed(party, await call(party, SHADOWED), 'would_deny')
    await writeFile(file, DATA['data/enforcement.json'])
  })
})

/** What holds while there is no decision to be had, whatever the reason. */
async function expectOnlyShadowedPass(party: Party): Promise<void> {
  const before = party.worker.seen.length
  const record = await expectPassed(party, await call(party, SHADOWED), 'unevaluated')
  expect(record).toMatchObject({ error: expect.stringMatching(/^policy_/), reasons: [], policy_version: null })
  for (const [who, capability] of [
    [ENFORCED, 'hello_world'],
    [SHADOWED, 'enforced'],
  ] as const) {
    const answer = await call(party, who, capability)
    expect([who, capability, answer.status]).toEqual([who, capability, 503])
    expect(await recordOf(party, answer)).toMatchObject({ decision: 'error', mode: 'enforce' })
  }
  // The controller knows by itself, without an engine.
  const ofCapability = await call(party, SHADOWED, 'blocked')
  expect(ofCapability).toMatchObject({ status: 403, body: { reason_code: 'capability_blocked' } })
  expect(await recordOf(party, ofCapability)).toMatchObject({ decision: 'deny', capability: 'invoke:blocked' })
  const answer = await call(party, BLOCKED)
  expect(answer).toMatchObject({ status: 403, body: { reason_code: 'identity_blocked' } })
  expect(await recordOf(party, answer)).toMatchObject({ decision: 'deny', capability: null, engine: 'controller' })
  expect((await party.worker.register()).status).toBe(503)
  expect(party.worker.seen).toHaveLength(before + 1)
}

describe('with an OPA sidecar', () => {
  let party: Party
  let opa: OpaServer
  beforeAll(async () => {
    opa = await startOpa({ policyDir: policies.dir })
    party = await startParty({ OPA_URL: opa.url, OPA_TIMEOUT_MS: '1000' })
  })
  afterAll(async () => {
    await stopParty(party)
    await opa.stop()
  })

  test('a would-be denial passes as with the embedded engine', async () => {
    await expectPassed(party, await call(party, SHADOWED), 'would_deny')
    expect((await call(party, ENFORCED)).status).toBe(403)
  })

  test('that hangs, only shadowed calls pass, counted as unevaluated', async () => {
    await opa.pause()
    await expectOnlyShadowedPass(party)
    opa.resume()
    await until('decisions are made again', async () => (await call(party, ENFORCED)).status === 403)
    expect(
      await metric(
        party,
        /^controller_policy_decisions_total\{capability="invoke:hello_world",decision="unevaluated"\} [1-9]/m,
      ),
    ).toBe(true)
  })

  test('that is gone, only shadowed calls pass', async () => {
    await opa.kill()
    await expectOnlyShadowedPass(party)
    opa = await startOpa({ policyDir: policies.dir, port: opa.port })
    await until('decisions are made again', async () => (await call(party, ENFORCED)).status === 403)
  })
})

test('with a sidecar that was never there, shadowed calls pass from the start', async () => {
  const mesh = await startMesh({
    env: { CRANK_POLICY_DIR: policies.dir, OPA_URL: 'http://127.0.0.1:1' },
    waitReady: false,
  })
  const answer = await mesh.route(SHADOWED, { verb: 'invoke', capability: 'hello_world' })
  expect(answer).toMatchObject({ status: 503, body: { error: 'no_worker_available' } })
  const found = (line: AuditLine): boolean => line['decision_id'] === answer.headers['x-decision-id']
  expect(await mesh.auditedAs(found)).toMatchObject({ decision: 'unevaluated', error: 'policy_not_ready' })
  await mesh.close()
})

describe('with an engine that lies', () => {
  const honestPdp = honestPdpThatBlocks(id(BLOCKED))
  let party: Party
  let pdp: FakePdp
  beforeAll(async () => {
    pdp = await startFakePdp(honestPdp)
    party = await startParty({ OPA_URL: pdp.origin, OPA_TIMEOUT_MS: '1000' })
  })
  afterEach(async () => {
    pdp.answer(honestPdp)
    await until(
      'decisions are made again',
      async () => (await call(party, STREAMING)).headers['x-crank-shadow'] === undefined,
    )
  })
  afterAll(async () => {
    await stopParty(party)
    await pdp.close()
  })

  const lieWith = (lie: (decisionId: string) => PdpAnswer): void => {
    pdp.answer((asked) => (honestPdp.isProbe(asked) ? honestPdp(asked) : lie(asked.body.input.context.decision_id)))
  }

  test.each<[string, (decisionId: string) => PdpAnswer]>([
    ['allow as a text', (decisionId) => pdpAnswer(pdpResult(decisionId, { allow: 'true' }))],
    ['an unknown mode', (decisionId) => pdpAnswer(pdpResult(decisionId, { mode: 'off' }))],
    ["another question's answer", () => pdpAnswer(pdpResult('01890a5d-ac96-774b-bcce-b302099a8057'))],
    ['an undefined decision', () => ({ body: '{}' })],
    ['HTML', () => ({ headers: { 'content-type': 'text/html' }, body: '<html></html>' })],
    ['a reset', () => 'reset'],
  ])('%s is not a decision: only shadowed calls pass', async (_what, lie) => {
    lieWith(lie)
    await expectOnlyShadowedPass(party)
  })

  test.each([
    ['a block, in shadow', SHADOWED, 'identity_blocked'],
    ['malformed input, in shadow', SHADOWED, 'input_malformed'],
  ])('a denial of %s, does not pass', async (_what, who, code) => {
    const reasons = [{ code, message: 'not authorized' }]
    lieWith((decisionId) => pdpAnswer(pdpResult(decisionId, { allow: false, mode: 'shadow', grounds: [], reasons })))
    const answer = await call(party, who)
    expect(answer).toMatchObject({ status: 403, body: { reason_code: code } })
    expect(await recordOf(party, answer)).toMatchObject({ decision: 'deny' })
  })
})

test('without room for the record nothing passes, in shadow as ever', async () => {
  const parties = await createParties()
  const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir, CRANK_POLICY_DIR: policies.dir }
  const controller = await startControllerProcess({ ...env, CRANK_HEARTBEAT_INTERVAL_MS: '60000' })
  const request = parties.request.bind(undefined, controller.origin)
  const worker = await startFakeWorker({ ...parties, request }, greets)
  expect((await worker.register()).status).toBe(200)
  const ask = (): Promise<Answer> =>
    request(SHADOWED, postJson('/route', { verb: 'invoke', capability: 'hello_world' }))
  expect((await ask()).headers['x-crank-shadow']).toBe('would_deny')

  execFileSync('prlimit', ['--pid', String(controller.pid), '--fsize=1:unlimited'])
  const before = worker.seen.length
  for (let n = 0; n < 3; n++) {
    expect(await ask()).toMatchObject({ status: 503, body: { error: 'audit_unavailable' } })
  }
  expect(worker.seen).toHaveLength(before)

  execFileSync('prlimit', ['--pid', String(controller.pid), '--fsize=unlimited'])
  await until('it passes again', async () => (await ask()).status === 200)
  await worker.close()
  await controller.stop('SIGTERM')
  expect(controller.log).toContainEqual(
    expect.objectContaining({
      event: 'capability_access_would_deny',
      requester: id(SHADOWED),
      capability: 'invoke:hello_world',
      reason: `Worker ${id(SHADOWED)} not authorized for capability invoke:hello_world`,
    }),
  )
  const records = await readAuditLines(parties.auditLog)
  const recorded = records
    .filter(({ decision }) => decision === 'would_deny')
    .map((line): unknown => line['decision_id'])
  expect(recorded).toEqual(worker.seen.map(({ headers }) => headers['x-crank-decision-id']))
  await parties.close()
})
