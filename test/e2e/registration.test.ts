// How workers become routable, and what keeps strangers from becoming somebody else's worker.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { CapabilitySchema } from '../../src/core/wire.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, postJson, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { until } from '../fixtures/until.ts'

let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(mesh, greets)
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

const post = (identity: string, path: string, body: object) => mesh.request(identity, postJson(path, body))
type Listed = { worker_id: string; state: string }
const listed = async ({ request }: Mesh): Promise<Listed[]> =>
  (await request(HELLO, { path: '/workers' })).body.workers as Listed[]
const workerIds = async (of: Mesh): Promise<string[]> => (await listed(of)).map(({ worker_id }) => worker_id)
const liveWorkers = async (of: Mesh): Promise<string[]> =>
  (await listed(of)).filter(({ state }) => state === 'live').map(({ worker_id }) => worker_id)

describe('registering', () => {
  test('is answered with a lease and recorded', async () => {
    const answer = await worker.register()
    expect(answer).toMatchObject({
      status: 200,
      body: {
        status: 'registered',
        worker_id: 'worker-hello-world',
        capabilities_registered: 1,
        heartbeat_interval_ms: 60_000,
      },
    })
    expect(answer.body.lease).toMatch(/^[0-9a-f-]{36}$/)
    const record = await mesh.auditedAs((line) => line.event === 'worker_registration' && line['decision'] === 'allow')
    expect(record).toMatchObject({
      worker_id: 'worker-hello-world',
      capabilities: ['invoke:hello_world'],
      worker_url: worker.url,
    })
  })

  test('with a schema above 64 KiB is refused by the name of its capability, one just below is not', async () => {
    const sized = (bytes: number): CapabilitySchema => {
      const schema = { ...HELLO_SCHEMA, input_schema: { ...HELLO_SCHEMA.input_schema, description: '' } }
      schema.input_schema.description = 'x'.repeat(bytes - JSON.stringify(schema).length)
      return schema
    }
    expect((await worker.register({ capabilities: [sized(65_536)] })).status).toBe(200)
    const answer = await worker.register({ capabilities: [sized(65_537)] })
    expect(answer).toMatchObject({
      status: 400,
      body: {
        error: 'request_invalid',
        reason: 'the schema of invoke:hello_world has 65537 bytes; at most 65536 are allowed',
      },
    })
    expect((await worker.register()).status).toBe(200)
  })

  test('of a capability that the manifest does not provide is denied and recorded', async () => {
    const convert: CapabilitySchema = { ...HELLO_SCHEMA, verb: 'convert', name: 'document_to_pdf' }
    const answer = await worker.register({ capabilities: [HELLO_SCHEMA, convert] })
    expect(answer).toMatchObject({ status: 403, body: { error: 'registration_denied' } })
    expect(answer.body.reason).toContain('convert:document_to_pdf')
    const record = await mesh.auditedAs((line) => line.event === 'worker_registration' && line['decision'] === 'deny')
    expect(record).toMatchObject({ requester_spiffe_id: 'spiffe://crank.local/worker/hello-world' })
  })

  test("under another worker's id is denied", async () => {
    const answer = await worker.register({ workerId: 'worker-streaming' })
    expect(answer).toMatchObject({
      status: 403,
      body: { error: 'registration_denied', reason_code: 'worker_id_mismatch' },
    })
  })

  test('by an identity without a manifest is denied', async () => {
    const answer = await post('worker/stranger', '/register', {
      worker_id: 'worker-stranger',
      worker_url: worker.url,
      capabilities: [HELLO_SCHEMA],
    })
    expect(answer).toMatchObject({ status: 403, body: { error: 'registration_denied', reason_code: 'worker_unknown' } })
  })

  test('with a worker_url where somebody else lives fails the probe, and nothing becomes routable', async () => {
    const foreign = await startFakeWorker(mesh, greets, { identity: HELLO, shows: STREAMING })
    const before = await workerIds(mesh)
    const answer = await worker.register({ workerId: 'worker-hello-world.b', url: foreign.url })
    expect(answer).toMatchObject({ status: 502, body: { error: 'worker_failed' } })
    expect(answer.body.reason).toContain('the probe of worker_url failed')
    expect(await workerIds(mesh)).toEqual(before)
    await foreign.close()
  })

  const badUrls = ['http://127.0.0.1:1', 'https://user@127.0.0.1:1', 'https://169.254.169.254', 'https://127.0.0.1:1/x']
  for (const url of badUrls) {
    test(`with worker_url ${url} is refused as malformed`, async () => {
      const answer = await worker.register({ url })
      expect(answer).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
      const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
      expect(record).toMatchObject({ event: 'request_refused', error: 'request_invalid' })
    })
  }

  test('names the unknown member of a malformed body', async () => {
    const answer = await post(HELLO, '/register', {
      worker_id: 'w',
      worker_url: worker.url,
      capabilities: [],
      extra: 1,
    })
    expect(answer).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
    const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
    expect(record).toMatchObject({ event: 'request_refused', error: 'request_invalid' })
  })

  test('lists a capability twice in vain', async () => {
    const answer = await worker.register({ capabilities: [HELLO_SCHEMA, HELLO_SCHEMA] })
    expect(answer).toMatchObject({ status: 400, body: { reason: 'duplicate capability in the list' } })
  })
})

/** A worker on a mesh of its own, registered, that is only heard of when the test sends a heartbeat for it. */
async function startSilentWorker(heartbeatIntervalMs: number): Promise<{ own: Mesh; beat: () => Promise<Answer> }> {
  const own = await startMesh({ env: { CRANK_HEARTBEAT_INTERVAL_MS: String(heartbeatIntervalMs) } })
  onTestFinished(own.close)
  const silent = await startFakeWorker(own, greets)
  onTestFinished(silent.close)
  const { lease } = (await silent.register()).body as { lease: string }
  const beat = postJson('/heartbeat', { worker_id: 'worker-hello-world', lease, load: 2 })
  return { own, beat: () => own.request(HELLO, beat) }
}

test('an instance that was replaced gets its id back only when the newer one is gone', async () => {
  const [older, newer] = [await startFakeWorker(mesh, greets), await startFakeWorker(mesh, greets)]
  expect((await older.register()).status).toBe(200)
  expect((await newer.register()).status).toBe(200)
  const refused = await older.register()
  expect(refused).toMatchObject({ status: 409, body: { error: 'worker_replaced' } })
  expect(refused.headers['retry-after']).toBe('30')
  await newer.close()
  expect((await older.register()).status).toBe(200)
  await older.close()
})

describe('a lease', () => {
  test('is kept alive by heartbeats, goes stale without them, and comes back', async () => {
    // Stale after 3 s, removed after 12 s: what is done in between has nine seconds.
    const { own, beat } = await startSilentWorker(1000)
    expect(await beat()).toMatchObject({ status: 200, body: { status: 'acknowledged' } })
    await until('the silent worker is stale', async () => (await liveWorkers(own)).length === 0)
    expect(await own.route(STREAMING, { verb: 'invoke', capability: 'hello_world' })).toMatchObject({ status: 503 })
    await until('a heartbeat brings it back', async () => {
      expect((await beat()).status).toBe(200)
      return (await liveWorkers(own)).includes('worker-hello-world')
    })
  })

  test('is gone after twelve missed heartbeats: the worker is asked to register again', async () => {
    const { own, beat } = await startSilentWorker(100)
    await until('the silent worker is removed', async () => (await workerIds(own)).length === 0)
    expect(await beat()).toMatchObject({ status: 404, body: { error: 'worker_not_registered' } })
  })

  test('does not serve another identity, nor an older instance', async () => {
    const first = (await worker.register()).body as { lease: string }
    const second = (await worker.register()).body as { lease: string }
    const claims = [
      [STREAMING, second.lease],
      [HELLO, first.lease],
      [HELLO, 'made-up'],
    ] as const
    for (const [identity, lease] of claims) {
      for (const path of ['/heartbeat', '/deregister']) {
        expect(await post(identity, path, { worker_id: 'worker-hello-world', lease })).toMatchObject({ status: 404 })
      }
    }
    const done = await post(HELLO, '/deregister', { worker_id: 'worker-hello-world', lease: second.lease })
    expect(done).toMatchObject({ status: 200, body: { status: 'deregistered' } })
    expect(await workerIds(mesh)).toEqual([])
  })
})
