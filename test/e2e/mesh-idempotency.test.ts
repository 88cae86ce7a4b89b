// An idempotency key holds for the whole mesh: whichever controller a request meets, its capability is used once.
// Real controllers, a real cluster of three NATS servers, one of which is killed.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NatsCluster } from '../../scripts/lab/nats-server.ts'
import { HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { startMeshStore, storeEnv, storeLeader } from '../fixtures/nats.ts'
import { createParties, HELLO, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

let parties: Parties
let nats: NatsCluster
let worker: FakeWorker
const controllers: ControllerProcess[] = []
let release: (() => void)[] = []
let isHeld = false

async function startController(name: string): Promise<ControllerProcess> {
  return startControllerProcess({
    ...(await parties.tlsEnv('controller')),
    ...storeEnv(nats),
    CRANK_STATE_DIR: join(parties.dir, name),
  })
}

beforeAll(async () => {
  parties = await createParties()
  nats = await startMeshStore(parties, { servers: 3 })
  controllers.push(...(await Promise.all(['a', 'b'].map(startController))))
  worker = await startFakeWorker(
    { ...parties, request: () => Promise.reject(new Error('registers by the test')) },
    (_request, response, body) => {
      const filling = body.includes('large') ? 'x'.repeat(1_000_000) : ''
      const answer = (): void => void response.end(JSON.stringify({ result: { seen: body.length, filling } }))
      if (isHeld) release.push(answer)
      else answer()
    },
  )
  const body = { worker_id: 'worker-hello-world', worker_url: worker.url, capabilities: [HELLO_SCHEMA] }
  // The store may still be choosing its leader.
  const isConnected = ({ log }: ControllerProcess): boolean => log.some(({ event }) => event === 'mesh_connected')
  await until('the mesh has a store', () => controllers.every(isConnected))
  expect(await parties.request(at(0).origin, HELLO, postJson('/register', body))).toMatchObject({ status: 200 })
  await until('both call it', async () => (await greet(at(1))).status === 200)
})
afterAll(async () => {
  await Promise.all(controllers.map((one) => one.stop('SIGTERM')))
  await worker.close()
  await nats[Symbol.asyncDispose]()
  await parties.close()
})

const at = (index: number): ControllerProcess => controllers[index]!
const greet = ({ origin }: ControllerProcess, key?: string, timeoutMs = 20_000, name = 'Ada'): Promise<Answer> =>
  parties.request(
    origin,
    STREAMING,
    postJson(
      '/route',
      { capability: 'hello_world', verb: 'invoke', payload: { name }, timeout_ms: timeoutMs },
      key === undefined ? {} : { 'idempotency-key': key },
    ),
  )

describe('an idempotency key', () => {
  test('that was used at one controller gets the same answer at the other, and the worker is called once', async () => {
    const key = randomUUID()
    const before = worker.seen.length
    const first = await greet(at(0), key)
    expect(first.status).toBe(200)
    const second = await greet(at(1), key)
    expect(second).toMatchObject({ status: 200, headers: { 'idempotent-replayed': 'true' } })
    expect(second.body).toEqual(first.body)
    expect(worker.seen.length - before).toBe(1)
    expect(await greet(at(1), key, 20_000, 'Grace')).toMatchObject({ status: 422 })
  })

  test('keeps an answer that is larger than a message of the store', async () => {
    const key = randomUUID()
    const first = await greet(at(0), key, 20_000, 'large')
    expect(first.text.length).toBeGreaterThan(1_000_000)
    const second = await greet(at(1), key, 20_000, 'large')
    expect(second.headers).toMatchObject({ 'idempotent-replayed': 'true' })
    expect(second.text).toBe(first.text)
  })

  test('of a call that runs at one controller is in progress at the other', async () => {
    const key = randomUUID()
    isHeld = true
    const first = greet(at(0), key)
    await until('the worker has it', () => release.length === 1)
    expect(await greet(at(1), key)).toMatchObject({ status: 409, body: { error: 'idempotency_in_progress' } })
    isHeld = false
    release.forEach((answer) => answer())
    release = []
    expect((await first).status).toBe(200)
    expect(await greet(at(1), key)).toMatchObject({ status: 200, headers: { 'idempotent-replayed': 'true' } })
  })

  test('waits for a new leader of the store, and one that may not wait is refused; without a key nothing is noticed', async () => {
    const leader = await storeLeader(parties, nats)
    await leader.signal('SIGKILL')
    const before = worker.seen.length
    const key = randomUUID()
    const [patient, impatient, plain] = await Promise.all([
      greet(at(0), key),
      greet(at(1), randomUUID(), 300),
      greet(at(0)),
    ])
    expect(plain.status).toBe(200)
    expect(patient.status).toBe(200)
    expect([200, 503]).toContain(impatient.status)
    if (impatient.status === 503) expect(impatient.body).toMatchObject({ error: 'idempotency_unavailable' })
    expect(await greet(at(1), key)).toMatchObject({ status: 200, headers: { 'idempotent-replayed': 'true' } })
    expect(worker.seen.length - before).toBe(impatient.status === 200 ? 3 : 2)
    await leader.start()
  })

  test('that a killed controller held is unknown to the others: nobody knows what the worker did', async () => {
    const third = await startController('c')
    const key = randomUUID()
    isHeld = true
    const lost = greet(third, key).catch(() => undefined)
    await until('the worker has it', () => release.length === 1)
    await third.stop('SIGKILL')
    await lost
    isHeld = false
    const before = worker.seen.length
    await until(
      'the key is unknown',
      async () => (await greet(at(0), key)).body?.error === 'idempotency_outcome_unknown',
      40_000,
    )
    expect(worker.seen.length).toBe(before)
    release = []
  })
})
