// Several controllers that share a NATS store are one mesh: a worker that registers at one is called by all.
// Real controllers, one of them of two processes, and a real NATS server with TLS by SVIDs.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NatsCluster } from '../../scripts/lab/nats-server.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { startMeshStore, storeEnv } from '../fixtures/nats.ts'
import { createParties, HELLO, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, takeCapabilities } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const HEARTBEAT_MS = 300
/** Stale after three missed heartbeats, removed after twelve. */
const REMOVED_MS = 12 * HEARTBEAT_MS

let parties: Parties
let nats: NatsCluster
const controllers: ControllerProcess[] = []

async function startController(name: string, env: NodeJS.ProcessEnv = {}): Promise<ControllerProcess> {
  return startControllerProcess({
    ...(await parties.tlsEnv('controller')),
    ...storeEnv(nats),
    CRANK_STATE_DIR: join(parties.dir, name),
    CRANK_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_MS),
    ...env,
  })
}

beforeAll(async () => {
  parties = await createParties()
  nats = await startMeshStore(parties)
  controllers.push(...(await Promise.all([startController('a'), startController('b', { CRANK_PROCESSES: '2' })])))
})
afterAll(async () => {
  await Promise.all(controllers.map((one) => one.stop('SIGTERM')))
  await nats[Symbol.asyncDispose]()
  await parties.close()
})

const at = (index: number): ControllerProcess => controllers[index]!
const greet = ({ origin }: ControllerProcess): Promise<Answer> =>
  parties.request(origin, STREAMING, postJson('/route', { capability: 'hello_world', verb: 'invoke', payload: {} }))
const workerOf = (identity = HELLO): Promise<FakeWorker> =>
  startFakeWorker({ ...parties, request: () => Promise.reject(new Error('registers by the test')) }, greets, {
    identity,
  })

async function register(controller: ControllerProcess, worker: FakeWorker): Promise<string> {
  const body = { worker_id: 'worker-hello-world', worker_url: worker.url, capabilities: [HELLO_SCHEMA] }
  const answer = await parties.request(controller.origin, HELLO, postJson('/register', body))
  expect(answer).toMatchObject({ status: 200 })
  return (answer.body as { lease: string }).lease
}
const leased = (path: string, controller: ControllerProcess, lease: string): Promise<Answer> =>
  parties.request(controller.origin, HELLO, postJson(path, { worker_id: 'worker-hello-world', lease }))
const calls = (controller: ControllerProcess) => async (): Promise<boolean> => (await greet(controller)).status === 200
/** Whom a controller calls. */
const calledBy = async (controller: ControllerProcess): Promise<string | undefined> => {
  const { workers } = (await (await fetch(`${controller.adminOrigin}/workers`)).json()) as {
    workers: { worker_url: string }[]
  }
  return workers[0]?.worker_url
}
const isMesh = async (controller: ControllerProcess, word: RegExp): Promise<boolean> => {
  const { checks } = (await (await fetch(`${controller.adminOrigin}/readyz`)).json()) as {
    checks: { name: string; reason?: string }[]
  }
  return word.test(checks.find(({ name }) => name === 'mesh')?.reason ?? '')
}

const drain = ({ adminOrigin }: ControllerProcess, what: 'drain' | 'undrain'): Promise<Response> =>
  fetch(`${adminOrigin}/workers/worker-hello-world/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'test' }),
  })

/** Sends heartbeats to one controller until it is disposed. */
function beating(
  controller: () => ControllerProcess,
  lease: string,
): AsyncDisposable & { readonly last: () => number } {
  const stop = new AbortController()
  let last = 0
  const running = (async () => {
    while (!stop.signal.aborted) {
      const answer = await leased('/heartbeat', controller(), lease).catch(() => undefined)
      last = answer?.status ?? 0
      await delay(HEARTBEAT_MS / 2, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  })()
  return {
    last: () => last,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

describe('a worker', () => {
  test('that registers at one controller is called by the other, lives by heartbeats at either, and leaves both', async () => {
    const worker = await workerOf()
    const lease = await register(at(0), worker)
    await until('the other controller calls it', calls(at(1)))
    expect(await calls(at(0))()).toBe(true)
    let turn = 0
    await using beats = beating(() => at(turn++ % 2), lease)
    await delay(REMOVED_MS + 1000)
    expect(beats.last()).toBe(200)
    expect([await calls(at(0))(), await calls(at(1))()]).toEqual([true, true])
    await beats[Symbol.asyncDispose]()
    expect((await leased('/deregister', at(1), lease)).status).toBe(200)
    await until('it has left both', async () => (await greet(at(0))).status === 503)
    expect((await leased('/heartbeat', at(0), lease)).status).toBe(404)
    await worker.close()
  })

  test('that registers at the other controller takes the id there, and the earlier instance is told so', async () => {
    const [old, successor] = [await workerOf(), await workerOf()]
    const oldLease = await register(at(0), old)
    await until('both know the first', calls(at(1)))
    const lease = await register(at(1), successor)
    await until('the first controller calls the second instance', async () => (await calledBy(at(0))) === successor.url)
    expect((await leased('/heartbeat', at(0), oldLease)).status).toBe(404)
    expect((await leased('/heartbeat', at(0), lease)).status).toBe(200)
    await leased('/deregister', at(0), lease)
    await until('it has left', async () => (await calledBy(at(1))) === undefined)
    await Promise.all([old.close(), successor.close()])
  })

  test('stays while the store is away; what happens meanwhile is written when it is back', async () => {
    const worker = await workerOf()
    const lease = await register(at(0), worker)
    await until('both know it', calls(at(1)))
    await using beats = beating(() => at(0), lease)
    await nats.servers[0]!.signal('SIGKILL')
    await until('both say that the store is away', async () => (await isMesh(at(0), /away/)) && isMesh(at(1), /away/))
    expect((await leased('/heartbeat', at(0), lease)).body).toMatchObject({ mesh: 'away' })
    // The heartbeats do not reach the other controller: it must not forget the worker.
    await delay(REMOVED_MS + 1000)
    expect([await calls(at(0))(), await calls(at(1))()]).toEqual([true, true])
    expect((await fetch(`${at(1).adminOrigin}/readyz`)).status).toBe(200)
    // A registration goes on here, at once.
    const successor = await workerOf()
    const next = await register(at(1), successor)
    expect(await calledBy(at(1))).toBe(successor.url)
    await nats.servers[0]!.start()
    await until('the first learns of it', async () => (await calledBy(at(0))) === successor.url)
    await until('the earlier lease has ended', () => beats.last() === 404)
    expect((await leased('/heartbeat', at(0), next)).body).toMatchObject({ status: 'acknowledged', mesh: 'ok' })
    await leased('/deregister', at(0), next)
    await until('it has left', async () => (await calledBy(at(1))) === undefined)
    await Promise.all([worker.close(), successor.close()])
  })

  test('is known to a controller that starts later, and to one that starts while the store is away', async () => {
    const worker = await workerOf()
    const lease = await register(at(0), worker)
    await using beats = beating(() => at(0), lease)
    const later = await startController('c')
    await until('the new one calls it', calls(later))
    await later.stop('SIGTERM')
    await nats.servers[0]!.signal('SIGKILL')
    const again = await startController('c')
    await until('it remembers the worker', calls(again))
    await nats.servers[0]!.start()
    await until('it is part of the mesh', () => again.log.some(({ event }) => event === 'mesh_connected'))
    expect(beats.last()).toBe(200)
    await again.stop('SIGTERM')
    await beats[Symbol.asyncDispose]()
    await leased('/deregister', at(0), lease)
    await worker.close()
  })

  test('that is drained at one controller gets no calls from any, also from one that starts later', async () => {
    const worker = await workerOf()
    const lease = await register(at(0), worker)
    await using _ = beating(() => at(0), lease)
    await until('both call it', calls(at(1)))
    expect((await drain(at(0), 'drain')).status).toBe(200)
    await until('the other does not call it', async () => (await greet(at(1))).status === 503)
    const later = await startController('d')
    await until('the new one knows it', async () => (await calledBy(later)) === worker.url)
    expect((await greet(later)).status).toBe(503)
    expect((await drain(later, 'undrain')).status).toBe(200)
    await until('all call it again', async () => (await calls(at(0))()) && calls(at(1))())
    await later.stop('SIGTERM')
    await leased('/deregister', at(0), lease)
    await worker.close()
  })

  test('that the policy of one controller denies is called by the others, and there as soon as it is allowed', async () => {
    const worker = await workerOf()
    const lease = await register(at(0), worker)
    await using _ = beating(() => at(0), lease)
    await using policies = await copyPolicies()
    const file = join(policies.dir, 'data/worker_manifests.json')
    const allowing = await readFile(file, 'utf8')
    await takeCapabilities(policies.dir)
    const strict = await startController('e', { CRANK_POLICY_DIR: policies.dir })
    const denials = () => strict.log.filter(({ event }) => event === 'worker_not_taken_over')
    await until('it is denied there', () => denials().length > 0)
    expect((await greet(strict)).status).toBe(503)
    await delay(REMOVED_MS)
    expect([await calls(at(0))(), await calls(at(1))()]).toEqual([true, true])
    await writeFile(file, allowing)
    await until('it is called there, too', calls(strict))
    await strict.stop('SIGTERM')
    await leased('/deregister', at(0), lease)
    await worker.close()
  })

  test('that is too large for the store is refused everywhere, and told how large it may be', async () => {
    const worker = await workerOf()
    const schema = { ...HELLO_SCHEMA, input_schema: { type: 'object', description: 'x'.repeat(800_000) } }
    const body = { worker_id: 'worker-hello-world', worker_url: worker.url, capabilities: [schema] }
    for (const controller of controllers) {
      const { status, body: fault } = await parties.request(controller.origin, HELLO, postJson('/register', body))
      expect([status, fault]).toMatchObject([400, { error: 'request_invalid' }])
      expect((fault as { reason: string }).reason).toMatch(/has 80\d{4} bytes; in a mesh at most 786432 are allowed/)
    }
    await worker.close()
  })

  test('that is silent everywhere is removed everywhere', async () => {
    const worker = await workerOf()
    await register(at(0), worker)
    await until('both know it', async () => (await calledBy(at(1))) !== undefined)
    await until('both forget it', async () =>
      [await calledBy(at(0)), await calledBy(at(1))].every((url) => url === undefined),
    )
    await worker.close()
  })
})
