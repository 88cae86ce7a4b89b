// A policy engine that lies: whatever it says, only a whole and valid decision to the very question that was asked counts.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  pdpAnswer,
  pdpDenial,
  pdpResult,
  startFakePdp,
  type FakePdp,
  type PdpAnswer,
  type PdpRequest,
} from '../fakes/pdp.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { honestPdp } from '../fixtures/pdp-honest.ts'
import { until } from '../fixtures/until.ts'

let pdp: FakePdp
let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  pdp = await startFakePdp(honestPdp)
  mesh = await startMesh({ env: { OPA_URL: pdp.origin, OPA_TIMEOUT_MS: '1000' } })
  worker = await startFakeWorker(mesh, greets)
  expect((await worker.register()).status).toBe(200)
})
afterEach(async () => {
  pdp.answer(honestPdp)
  await until('calls are served again', async () => (await call()).status === 200)
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
  await pdp.close()
})

const call = (): Promise<Answer> => mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {} })

async function expectRefused(error: string): Promise<void> {
  const before = worker.seen.length
  const answer = await call()
  expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, body: { error } })
  expect(worker.seen).toHaveLength(before)
  const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
  expect(record).toMatchObject({ event: 'policy_decision', decision: 'error', error, engine: 'opa-http' })
}

/** Piece by piece, so that making it does not hold up this process, which is the controller's too. */
const HUGE: PdpAnswer = { pieces: new Array<string>(100).fill('x'.repeat(1_000_000)), everyMs: 1 }
type Lie = (decisionId: string) => PdpAnswer

describe('no call is let through by an answer with', () => {
  const lies: Record<string, Lie> = {
    'allow as a text': (id) => pdpAnswer(pdpResult(id, { allow: 'true' })),
    'allow as a number': (id) => pdpAnswer(pdpResult(id, { allow: 1 })),
    "another question's decision_id": () => pdpAnswer(pdpResult('01890a5d-ac96-774b-bcce-b302099a8057')),
    'no decision_id': (id) => pdpAnswer(pdpResult(id, { decision_id: undefined })),
    'an allow that has reasons against it': (id) => pdpAnswer({ ...pdpDenial(id), allow: true }),
    'an allow without grounds': (id) => pdpAnswer(pdpResult(id, { grounds: [] })),
    'a member that nobody knows': (id) => pdpAnswer(pdpResult(id, { override: true })),
    'an empty object, which is undefined in OPA': () => ({ body: '{}' }),
    'true as the result': () => pdpAnswer(true),
    HTML: () => ({ headers: { 'content-type': 'text/html' }, body: '<html>allow: true</html>' }),
    'HTML that says that it is JSON': () => ({ body: '<html>allow: true</html>' }),
    'a redirect': () => ({ status: 302, headers: { location: `${pdp.origin}/v1/data/other` }, body: '' }),
    'status 500 and an allow': (id) => ({ status: 500, body: JSON.stringify({ result: pdpResult(id) }) }),
    'a cut JSON': (id) => ({ body: JSON.stringify({ result: pdpResult(id) }).slice(0, -5) }),
    '100 MB': () => HUGE,
    'bytes that are no HTTP': () => ({ raw: 'SSH-2.0-OpenSSH_9.9\r\n' }),
  }
  for (const [name, lie] of Object.entries(lies)) {
    test(name, async () => {
      pdp.answer((asked) => (honestPdp.isProbe(asked) ? honestPdp(asked) : lie(asked.body.input.context.decision_id)))
      await expectRefused('policy_engine_error')
      expect((await mesh.admin('/readyz')).status).toBe(200)
    })
  }
})

test('of many calls at once, exactly those are refused whose answer in a batch is not theirs', async () => {
  // Slow enough for calls to wait for each other.
  const slow = (asked: PdpRequest): PdpAnswer => ({ ...(honestPdp(asked) as { body: string }), afterMs: 20 })
  pdp.answer((asked) => (honestPdp.isProbe(asked) ? honestPdp(asked) : slow(asked)))
  const liedTo = new Set<unknown>()
  pdp.lieInBatches((results, items) => {
    const [first, second] = items
    if (first === undefined || second === undefined || items.some(honestPdp.isProbe)) return undefined
    liedTo.add(second.body.input.context.decision_id)
    return pdpAnswer([results[0], results[0], ...results.slice(2)])
  })
  const before = worker.seen.length
  const answers = await Promise.all(Array.from({ length: 60 }, call))
  pdp.lieInBatches(undefined)
  const refused = answers.filter(({ status }) => status === 503)
  expect(liedTo.size).toBeGreaterThan(0)
  expect(new Set(refused.map(({ headers }) => headers['x-decision-id']))).toEqual(liedTo)
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(60 - liedTo.size)
  expect(worker.seen).toHaveLength(before + 60 - liedTo.size)
})

describe('no call is let through by', () => {
  test('an allow that comes after the deadline', async () => {
    const late = (id: string): PdpAnswer => ({ ...(pdpAnswer(pdpResult(id)) as { body: string }), afterMs: 1500 })
    pdp.answer((asked) => (honestPdp.isProbe(asked) ? honestPdp(asked) : late(asked.body.input.context.decision_id)))
    await expectRefused('policy_engine_unavailable')
  })

  test('an engine that resets connections', async () => {
    pdp.answer((asked) => (honestPdp.isProbe(asked) ? honestPdp(asked) : 'reset'))
    await expectRefused('policy_engine_unavailable')
  })

  test('an engine that allows strangers: the self-check shuts it out', async () => {
    pdp.answer((asked) => pdpAnswer(pdpResult(asked.body.input.context.decision_id)))
    await until('readiness is red', async () => (await mesh.admin('/readyz')).status === 503)
    expect((await mesh.admin('/readyz')).text).toContain('the policy allows an unknown caller')
    await expectRefused('policy_not_ready')
  })
})
