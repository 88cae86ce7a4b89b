// Limits of callers on real TLS: each refusal with its headers and its record, priorities that are lowered, and a change of
// limits.json while the controller runs.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, TRUST_DOMAIN, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'

const ID = `spiffe://${TRUST_DOMAIN}/${STREAMING}`
const LIMITS = 'data/limits.json'
const CALL = { verb: 'invoke', capability: 'hello_world', payload: {} }

let policies: PolicyDir
let mesh: Mesh
let worker: FakeWorker
/** Answers that the worker holds back. */
const held: (() => void)[] = []
let isHolding = false

beforeAll(async () => {
  policies = await copyPolicies({ [LIMITS]: '{}' })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
  worker = await startFakeWorker(mesh, (_request, response) => {
    const answer = (): void => void response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    if (isHolding) held.push(answer)
    else answer()
  })
  expect((await worker.register()).status).toBe(200)
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

/** Brings limits into force, and waits for the record of the change. */
async function limit(limits: object): Promise<void> {
  const changes = async () => (await mesh.audit()).filter(({ event }) => event === 'policy_changed').length
  const before = await changes()
  const path = join(policies.dir, LIMITS)
  await writeFile(`${path}.new`, JSON.stringify(limits))
  await rename(`${path}.new`, path)
  await until('the limits are in force', async () => (await changes()) > before)
}

const call = (who = STREAMING, body: object = CALL): Promise<Answer> => mesh.route(who, body)
const raw = (headers: Record<string, string> = {}, body = 'x'): Promise<Answer> =>
  mesh.request(STREAMING, { path: '/route/invoke/hello_world', method: 'POST', headers, body })

async function metric(series: string): Promise<number> {
  const line = (await mesh.admin('/metrics')).text.split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.split(' ')[1] ?? Number.NaN)
}

async function recordOf(answer: Answer) {
  return mesh.auditedAs((line) => line['decision_id'] === answer.body.decision_id && line.event === 'request_refused')
}

describe('a rate', () => {
  test('of an identity is refused beyond its burst, before the body is read, with what to do', async () => {
    await limit({ limits: { identities: { [ID]: { rate: 0.1, burst: 2 } } } })
    const refusals = await metric('controller_admission_refused_total{reason="rate",priority="unknown"}')
    expect([(await call()).status, (await raw()).status]).toEqual([200, 200])
    const refused = await call()
    expect(refused).toMatchObject({
      status: 429,
      body: {
        error: 'rate_limited',
        reason_code: 'limit_rate',
        reason: 'over the rate of this identity: 0.1 calls per second, 2 at once; wait 10 s',
        requester: ID,
      },
    })
    expect(refused.headers).toMatchObject({
      'retry-after': '10',
      'ratelimit-policy': '"identity_rate";q=2;w=20',
      ratelimit: '"identity_rate";r=0;t=10',
    })
    expect(await recordOf(refused)).toMatchObject({
      requester_spiffe_id: ID,
      error: 'rate_limited',
      reason: refused.body.reason,
      count: 1,
    })
    expect((await raw()).status).toBe(429)
    expect(await metric('controller_admission_refused_total{reason="rate",priority="unknown"}')).toBe(refusals + 2)
  })

  test('keeps the connection: the body is read and dropped', async () => {
    const head = 'POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n'
    const answers = await exchange(await openTls(mesh, STREAMING), `${head}\r\n{}${head}Connection: close\r\n\r\n{}`)
    expect(answers.match(/HTTP\/1\.1 429 /g)).toHaveLength(2)
  })

  test('of an identity concerns no other identity and no other route', async () => {
    expect((await mesh.request(STREAMING, { path: '/workers' })).status).toBe(200)
    expect((await call(HELLO)).status).not.toBe(429)
  })

  test('of an identity for a capability, and of a capability for all, are refused with their names', async () => {
    const capability = 'invoke:hello_world'
    await limit({ limits: { identities: { [ID]: { capabilities: { [capability]: { rate: 0.01, burst: 1 } } } } } })
    expect((await call()).status).toBe(200)
    const pair = await call()
    expect(pair).toMatchObject({ status: 429, body: { capability } })
    expect(pair.headers['ratelimit']).toBe('"identity_capability_rate";r=0;t=100')

    await limit({ limits: { capabilities: { [capability]: { rate: 0.01, burst: 1 } } } })
    expect((await call()).status).toBe(200)
    const ofAll = await raw()
    expect(ofAll).toMatchObject({ status: 429, body: { capability } })
    expect(ofAll.headers['ratelimit']).toBe('"capability_rate";r=0;t=100')
  })
})

describe('calls in flight', () => {
  test('beyond the limit are refused until one has ended', async () => {
    await limit({ limits: { default: { concurrent: 2 } } })
    isHolding = true
    const running = [call(), raw()]
    await until('both are with the worker', () => held.length === 2)
    const refused = await call()
    expect(refused).toMatchObject({ status: 429, body: { reason_code: 'limit_concurrent' } })
    expect(refused.headers).toMatchObject({
      'retry-after': '1',
      'ratelimit-policy': '"identity_concurrent";q=2;qu="concurrent-requests"',
      ratelimit: '"identity_concurrent";r=0;t=1',
    })
    expect(await recordOf(refused)).toMatchObject({ error: 'rate_limited' })
    isHolding = false
    for (const answer of held.splice(0)) answer()
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200])
    await until('there is room again', async () => (await call()).status === 200)
  })

  test('count with the bytes of their bodies', async () => {
    await limit({ limits: { default: { body_bytes: 1000 } } })
    isHolding = true
    const running = raw({}, 'x'.repeat(600))
    await until('it is with the worker', () => held.length === 1)
    const refused = await raw({}, 'x'.repeat(600))
    expect(refused).toMatchObject({ status: 429, body: { reason_code: 'limit_body' } })
    expect(refused.headers['ratelimit-policy']).toBe('"identity_body";q=1000;qu="content-bytes"')
    isHolding = false
    for (const answer of held.splice(0)) answer()
    expect((await running).status).toBe(200)
    const tooLarge = await raw({}, 'x'.repeat(1001))
    expect(tooLarge).toMatchObject({ status: 413, body: { error: 'payload_too_large' } })
    expect(tooLarge.body.reason).toContain('is 1000')
  })
})

describe('a priority', () => {
  test('above the highest of the caller is lowered, for the worker, the policy and the record', async () => {
    await limit({ limits: { identities: { 'spiffe://crank.local/worker/': { max_priority: 'low' } } } })
    const lowered = await metric('controller_admission_lowered_total{from="high",to="low"}')
    const answer = await call(STREAMING, { ...CALL, priority: 'high' })
    expect(answer.status).toBe(200)
    expect(worker.seen.at(-1)!.headers['x-crank-priority']).toBe('low')
    const id = answer.headers['x-decision-id']
    const record = await mesh.auditedAs((line) => line.event === 'policy_decision' && line['decision_id'] === id)
    expect(record).toMatchObject({ priority: 'low', priority_requested: 'high' })
    expect(await metric('controller_admission_lowered_total{from="high",to="low"}')).toBe(lowered + 1)
  })

  test('that the caller may ask for stays', async () => {
    await limit({ limits: { identities: { [ID]: { max_priority: 'high' } } } })
    const answer = await call(STREAMING, { ...CALL, priority: 'high' })
    const id = answer.headers['x-decision-id']
    expect(worker.seen.at(-1)!.headers['x-crank-priority']).toBe('high')
    const record = await mesh.auditedAs((line) => line.event === 'policy_decision' && line['decision_id'] === id)
    expect(record).toMatchObject({ priority: 'high', priority_requested: null })
  })

  test('is normal at most once limits are in force, and free without them', async () => {
    await limit({ limits: {} })
    await call(STREAMING, { ...CALL, priority: 'high' })
    expect(worker.seen.at(-1)!.headers['x-crank-priority']).toBe('normal')
    await limit({})
    await call(STREAMING, { ...CALL, priority: 'high' })
    expect(worker.seen.at(-1)!.headers['x-crank-priority']).toBe('high')
  })
})

describe('limits.json', () => {
  test('is in the record of a change, with what has changed', async () => {
    await limit({ limits: { default: { rate: 100 }, identities: { [ID]: { rate: 1000 } } } })
    const changes = (await mesh.audit()).filter(({ event }) => event === 'policy_changed')
    expect(changes.at(-1)).toMatchObject({
      changed: { files: ['data/limits.json'], limits: { added: 2, names: ['+default', `+${ID}`] } },
    })
  })

  test('with a fault does not come into force: the last good limits stay, and the fault is said', async () => {
    await limit({ limits: { identities: { [ID]: { rate: 0.01, burst: 1 } } } })
    expect((await call()).status).toBe(200)
    await writeFile(join(policies.dir, LIMITS), '{"limits":{"default":{"rate":-1}}}')
    await until('the fault is counted', async () => {
      return (await metric('controller_policy_data_faults{file="limits.json"}')) === 1
    })
    expect((await call()).status).toBe(429)
  })

  test('that was in force and is removed stays in force', async () => {
    await limit({})
    await limit({ limits: { identities: { [ID]: { rate: 0.01, burst: 1 } } } })
    await rm(join(policies.dir, LIMITS))
    await until('the loss is reported', async () => (await mesh.admin('/readyz')).text.includes('limits.json'))
    expect((await call()).status).toBe(429)
    await limit({})
    expect((await call()).status).toBe(200)
    expect(JSON.parse(await readFile(join(policies.dir, LIMITS), 'utf8'))).toEqual({})
  })
})
