// A mesh whose identities come from a SPIFFE Workload API: controller, workers and `crank` as real processes on one socket.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import {
  createParties,
  HELLO,
  postJson,
  STREAMING,
  TRUST_DOMAIN,
  type Answer,
  type Parties,
} from '../fixtures/parties.ts'
import type { TestCa } from '../fixtures/pki/ca.ts'
import { until } from '../fixtures/until.ts'
import { startWorkerProcess, type WorkerProcess } from '../fixtures/worker-process.ts'
import { startFakeWorkloadApi, type FakeWorkloadApi, type Served } from '../fixtures/workload-api/fake-workload-api.ts'
import { svidOf } from '../fixtures/workload-api/svids.ts'

const ROTATIONS = 10
const CALLERS = 4
const idOf = (path: string): string => `spiffe://${TRUST_DOMAIN}/${path}`
const GREETING = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }

let parties: Parties
let api: FakeWorkloadApi
let controller: ControllerProcess
let workers: readonly WorkerProcess[]

type Extra = Omit<Exclude<Served, Buffer>, 'svids'> & { cas?: readonly TestCa[] }

/** What the agent of this machine gives: an SVID for each process; a process names its own. */
async function serve({ cas = [parties.ca], ...extra }: Extra = {}): Promise<void> {
  const bundle = Buffer.concat(cas.map(({ certDer }) => certDer))
  const of = (path: string, hint = '') => svidOf(cas[0]!, idOf(path), {}, { hint, bundle })
  api.serve({ svids: [await of(STREAMING), await of(HELLO, 'greeter'), await of('controller')], ...extra })
}

const settingsFor = (svid: string) => ({ SPIFFE_ENDPOINT_SOCKET: api.endpoint, CRANK_SVID: svid })
const greet = (): Promise<Answer> => parties.request(controller.origin, STREAMING, postJson('/route', GREETING))
const changes = ({ log }: { log: ControllerProcess['log'] }): number =>
  log.filter(({ event }) => event === 'credentials_changed').length
const everybody = (): { log: ControllerProcess['log'] }[] => [controller, ...workers]
const ready = async (): Promise<{ status: number; text: string }> => {
  const answer = await fetch(`${controller.adminOrigin}/readyz`)
  return { status: answer.status, text: await answer.text() }
}

/** Serves, and waits until every process has taken it over. */
async function servedToAll(extra: Extra = {}): Promise<void> {
  const before = everybody().map(changes)
  await serve(extra)
  await until('all have changed', () => everybody().every((one, index) => changes(one) > before[index]!))
}

beforeAll(async () => {
  parties = await createParties()
  api = await startFakeWorkloadApi()
  await serve()
  const state = { CRANK_STATE_DIR: parties.dir, CRANK_HEARTBEAT_INTERVAL_MS: '300' }
  controller = await startControllerProcess({ ...state, ...settingsFor(idOf('controller')) })
  const tlsEnv = () => Promise.resolve(settingsFor('greeter'))
  workers = [
    await startWorkerProcess({ ...parties, tlsEnv }, controller.origin, { instance: 'a' }),
    await startWorkerProcess({ ...parties, tlsEnv }, controller.origin, { instance: 'b' }),
  ]
})
afterAll(async () => {
  await Promise.all(workers.map(({ kill }) => kill()))
  await controller.stop('SIGKILL')
  await api[Symbol.asyncDispose]()
  await parties.close()
})

test('controller and workers take their SVIDs from the socket, each its own, and calls are answered', async () => {
  expect(await greet()).toMatchObject({ status: 200 })
  const first = workers[0]!.log.find(({ event }) => event === 'worker_registered')
  expect(first).toBeDefined()
  expect(api.open()).toBe(3)
})

test(`${ROTATIONS} rotations of every SVID fail no call`, async () => {
  const failures: unknown[] = []
  let answered = 0
  let isOver = false
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!isOver) {
      const answer = await greet().catch((cause: unknown) => cause)
      if ((answer as Answer).status === 200) answered++
      else failures.push(answer)
    }
  })
  for (let rotation = 0; rotation < ROTATIONS; rotation++) await servedToAll()
  const before = answered
  await until('calls are answered after the last one', () => answered > before + CALLERS)
  isOver = true
  await Promise.all(callers)
  expect(failures).toEqual([])
})

describe('while the agent is away', () => {
  test('the last good SVID stays in use, and readiness says why it is not renewed', async () => {
    api.stop()
    await until('the controller says so', async () => (await ready()).text.includes('UNAVAILABLE'))
    expect(await ready()).toMatchObject({ status: 200, text: expect.stringContaining(api.endpoint) })
    expect(await greet()).toMatchObject({ status: 200 })
    await api.restart()
    await until('all streams are open again', () => api.open() === 3)
    await servedToAll()
    expect((await ready()).text).not.toContain('UNAVAILABLE')
    expect(await greet()).toMatchObject({ status: 200 })
  })
})
