// Exceptions and policy data on a running controller: used, counted, named, and a bad entry that harms no other.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exceptionId } from '../../src/policy/data/exception-entries.ts'
import type { ExceptionsReply } from '../../src/core/policy-exceptions.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, TRUST_DOMAIN, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const WHO = `spiffe://${TRUST_DOMAIN}/${STREAMING}`
const NAME = `${WHO}#store:zettel`
const inDays = (days: number): string => `${Date.now() + days * 86_400_000}000001`
const since = `"reason": "r", "owner": "o", "created_at": "${new Date().toISOString()}"`
const entry = (days: number): string => `{"capabilities": ["store:zettel"], "expires_after": ${inDays(days)}, ${since}}`
const bad = `{"temporary_allow_all": true, "expires_after": "2099-01-01", ${since}}`

let policies: PolicyDir
let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  const text = await readFile(join(import.meta.dirname, '../../policies/data/worker_manifests.json'), 'utf8')
  const manifests = JSON.parse(text) as { workers: Record<string, Record<string, unknown>> }
  delete manifests.workers[`spiffe://${TRUST_DOMAIN}/${HELLO}`]!['provided_capabilities']
  policies = await copyPolicies({
    'data/exceptions.json': `{"${WHO}": ${entry(3)}, "spiffe://${TRUST_DOMAIN}/worker/bad": ${bad}}`,
    'data/worker_manifests.json': JSON.stringify(manifests),
  })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
  worker = await startFakeWorker(mesh, greets)
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

const store = () => mesh.route(STREAMING, { verb: 'store', capability: 'zettel' })
const reply = async () => JSON.parse((await mesh.admin('/policy/exceptions')).text) as ExceptionsReply
const metric = async (line: string): Promise<string | undefined> => {
  const { text } = await mesh.admin('/metrics')
  return text.split('\n').find((found) => found.startsWith(`${line} `))
}
const writeData = (name: string, text: string) => writeFile(join(policies.dir, 'data', name), text)

describe('an exception', () => {
  test('lets a call pass, is named in the record, and counted', async () => {
    const answer = await store()
    // Nobody offers it: past the policy, no worker.
    expect(answer).toMatchObject({ status: 503, body: { error: 'no_worker_available' } })
    const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
    expect(record).toMatchObject({ decision: 'allow', grounds: ['exception'], exception: NAME })
    const { exceptions } = await reply()
    expect(exceptions).toMatchObject([
      { id: exceptionId(NAME), name: NAME, state: 'live', capability: 'store:zettel', owner: 'o', uses: 1 },
    ])
    expect(exceptions[0]!.last_used_at).not.toBeNull()
    expect(await metric(`controller_exception_uses_total{exception="${exceptionId(NAME)}"}`)).toMatch(/ 1$/)
  })

  test('shows how long it has', async () => {
    const line = await metric(`controller_exception_expiry_seconds{exception="${exceptionId(NAME)}"}`)
    const seconds = Number(line?.split(' ')[1])
    expect(seconds).toBeGreaterThan(2.9 * 86_400)
    expect(seconds).toBeLessThan(3 * 86_400 + 1)
  })

  test('that is bad is named, has no effect, and leaves the other alone', async () => {
    expect((await reply()).faults).toEqual([
      {
        file: 'exceptions.json',
        path: `["spiffe://${TRUST_DOMAIN}/worker/bad"].expires_after`,
        reason: 'must be Unix nanoseconds, a whole number without quotes',
      },
    ])
    expect(await metric('controller_policy_data_faults{file="exceptions.json"}')).toMatch(/ 1$/)
    const denied = await mesh.route('worker/bad', { verb: 'store', capability: 'zettel' })
    expect(denied).toMatchObject({ status: 403, body: { error: 'capability_access_denied' } })
  })
})

test('a manifest without provided_capabilities loads, and registering says which field is missing', async () => {
  expect(await worker.register()).toMatchObject({
    status: 403,
    body: {
      error: 'registration_denied',
      reason_code: 'provided_capabilities_missing',
      reason: expect.stringContaining('its manifest has no provided_capabilities'),
    },
  })
})

describe('a change of the data', () => {
  test('that is refused is counted by file, keeps the exception in force, and is forgotten when it is mended', async () => {
    await writeData('blocked.json', '{"blocked": {"identities": []}}')
    const faults = (): Promise<string | undefined> => metric('controller_policy_data_faults{file="blocked.json"}')
    await until('the fault is counted', async () => (await faults())?.endsWith(' 1') === true)
    expect((await reply()).faults).toContainEqual({
      file: 'blocked.json',
      path: 'blocked.identities',
      reason: 'must be an object',
    })
    expect((await store()).status).toBe(503)
    await writeData('blocked.json', '{"blocked": {"identities": {}, "capabilities": {}}}')
    await until('the fault is gone', async () => (await faults())?.endsWith(' 0') === true)
  })

  test('that ends the exception makes the denial say so first', async () => {
    await writeData('exceptions.json', `{"${WHO}": ${entry(-1)}}`)
    await until('the exception has ended', async () => (await store()).status === 403)
    const denied = await store()
    expect(denied.body).toMatchObject({
      reason_code: 'exception_expired',
      reason: expect.stringContaining('its exception has expired'),
    })
    const record = await mesh.auditedAs((line) => line['decision_id'] === denied.headers['x-decision-id'])
    expect(record['reasons']).toMatchObject([{ code: 'exception_expired' }, { code: 'capability_not_declared' }])
  })

  test('that takes the exception away ends it', async () => {
    await writeData('exceptions.json', '{}')
    await until('the exception is gone', async () => (await reply()).exceptions.length === 0)
    expect(await reply()).toMatchObject({ exceptions: [], faults: [] })
    expect(await metric(`controller_exception_uses_total{exception="${exceptionId(NAME)}"}`)).toBeUndefined()
    expect(await metric(`controller_exception_expiry_seconds{exception="${exceptionId(NAME)}"}`)).toBeUndefined()
  })
})
