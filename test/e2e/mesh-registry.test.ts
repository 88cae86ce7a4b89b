// Several controllers that share a NATS store are one mesh: a worker that registers at one is called by all.
// Real controllers, a real NATS server with TLS by SVIDs.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { NatsCluster } from '../../scripts/lab/nats-server.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { startMeshStore, storeEnv } from '../fixtures/nats.ts'
import { createParties, HELLO, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

let parties: Parties
let nats: NatsCluster
const controllers: ControllerProcess[] = []

async function startController(name: string): Promise<ControllerProcess> {
  return startControllerProcess({
    ...(await parties.tlsEnv('controller')),
    ...storeEnv(nats),
    CRANK_STATE_DIR: join(parties.dir, name),
    CRANK_HEARTBEAT_INTERVAL_MS: '300',
  })
}

beforeAll(async () => {
  parties = await createParties()
  nats = await startMeshStore(parties)
  controllers.push(...(await Promise.all(['a', 'b'].map(startController))))
})
afterAll(async () => {
  await Promise.all(controllers.map((one) => one.stop('SIGTERM')))
  await nats[Symbol.asyncDispose]()
  await parties.close()
})

const greet = ({ origin }: ControllerProcess): Promise<Answer> =>
  parties.request(origin, STREAMING, postJson('/route', { capability: 'hello_world', verb: 'invoke', payload: {} }))
const at = (index: number): ControllerProcess => controllers[index]!
const startWorker = (): Promise<FakeWorker> =>
  startFakeWorker({ ...parties, request: () => Promise.reject(new Error('registers by the test')) }, greets)

async function register(
  controller: ControllerProcess,
  worker: FakeWorker,
  workerId = 'worker-hello-world',
): Promise<string> {
  const body = { worker_id: workerId, worker_url: worker.url, capabilities: [HELLO_SCHEMA] }
  const answer = await parties.request(controller.origin, HELLO, postJson('/register', body))
  expect(answer).toMatchObject({ status: 200 })
  return (answer.body as { lease: string }).lease
}
const leased = (
  path: string,
  controller: ControllerProcess,
  lease: string,
  workerId = 'worker-hello-world',
): Promise<Answer> => parties.request(controller.origin, HELLO, postJson(path, { worker_id: workerId, lease }))

describe('a worker', () => {
  test('that registers at one controller is called by the other, lives by heartbeats at either, and leaves both', async () => {
    const worker = await startWorker()
    const lease = await register(at(0), worker)
    await until('the other controller calls it', async () => (await greet(at(1))).status === 200)
    expect((await greet(at(0))).status).toBe(200)
    const end = performance.now() + 5000
    for (let turn = 0; performance.now() < end; turn++) {
      expect((await leased('/heartbeat', at(turn % 2), lease)).status).toBe(200)
      await delay(200)
    }
    expect((await greet(at(0))).status).toBe(200)
    expect((await greet(at(1))).status).toBe(200)
    expect((await leased('/deregister', at(1), lease)).status).toBe(200)
    await until('it has left both', async () => (await greet(at(0))).status === 503)
    expect((await leased('/heartbeat', at(0), lease)).status).toBe(404)
    await worker.close()
  })
})
