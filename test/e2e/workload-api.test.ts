// A mesh whose identities come from a SPIFFE Workload API: controller, workers and `crank` as real processes on one socket.
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { Pool, type Dispatcher } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { crank } from '../cli/crank.ts'
import { readAuditLines } from '../fixtures/audit-log.ts'
import { runController, startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import {
  createParties,
  HELLO,
  postJson,
  STREAMING,
  TRUST_DOMAIN,
  type Answer,
  type Parties,
} from '../fixtures/parties.ts'
import { createTestCa, type Issued } from '../fixtures/pki/ca.ts'
import { crlOf } from '../fixtures/pki/crl.ts'
import { until } from '../fixtures/until.ts'
import { startWorkerProcess, type WorkerProcess } from '../fixtures/worker-process.ts'
import {
  startFakeWorkloadApi,
  type FakeWorkloadApi,
  type Served,
  type SvidFields,
} from '../fixtures/workload-api/fake-workload-api.ts'
import { svidOf } from '../fixtures/workload-api/svids.ts'

const ROTATIONS = 10
const CALLERS = 4
const idOf = (path: string): string => `spiffe://${TRUST_DOMAIN}/${path}`
const GREETING = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }

let parties: Parties
let api: FakeWorkloadApi
let controller: ControllerProcess
let workers: readonly WorkerProcess[]

/** `worker`: in place of a new SVID of the workers. */
type Extra = Omit<Exclude<Served, Buffer>, 'svids'> & { readonly worker?: SvidFields }

/** What the agent of this machine gives: an SVID for each process; a process names its own. */
async function serve({ worker, ...extra }: Extra = {}): Promise<void> {
  const of = (path: string, hint = '') => svidOf(parties.ca, idOf(path), {}, { hint })
  api.serve({ svids: [await of(STREAMING), worker ?? (await of(HELLO, 'greeter')), await of('controller')], ...extra })
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

function poolOf({ chainPem: cert, keyPem: key }: Issued): Pool {
  return new Pool(controller.origin, { connect: { ca: parties.ca.certPem, cert, key, maxCachedSessions: 0 } })
}

/** What the controller answers to a call with that certificate. */
async function refusalOf(identity: Issued): Promise<{ status: number; error: string | undefined }> {
  const pool = poolOf(identity)
  try {
    const { statusCode, body } = await pool.request(postJson('/route', GREETING) as Dispatcher.RequestOptions)
    const { error } = (await body.json()) as { error?: string }
    return { status: statusCode, error }
  } finally {
    await pool.destroy()
  }
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

test('the command line calls with an SVID of the socket', async () => {
  const env = { ...settingsFor(idOf(STREAMING)), CONTROLLER_URL: controller.origin }
  const { code, stdout, stderr } = await crank(['invoke', 'invoke', 'hello_world', '--data', '{"message":"x"}'], {
    env,
  })
  expect({ code, stderr: stderr.includes('calling as') }).toEqual({ code: 0, stderr: false })
  expect(stdout).toContain('Hello')
})

describe('a federated trust domain', () => {
  const PARTNER = 'spiffe://partner.test/worker/a'

  test('is verified with its own bundle, allowed by policy only, and refused when its bundle goes', async () => {
    const partner = await createTestCa('partner.test')
    const identity = await partner.issue({ uri: PARTNER })
    expect(await refusalOf(identity)).toMatchObject({ status: 401, error: 'client_certificate_untrusted' })
    await servedToAll({ federated_bundles: { 'spiffe://partner.test': partner.certDer } })
    expect(await refusalOf(identity)).toMatchObject({ status: 403, error: 'capability_access_denied' })
    const borrowed = await partner.issue({ uri: idOf(STREAMING) })
    expect(await refusalOf(borrowed)).toMatchObject({ status: 401, error: 'client_certificate_untrusted' })
    await servedToAll()
    expect(await refusalOf(identity)).toMatchObject({ status: 401, error: 'client_certificate_untrusted' })
  })
})

describe('a revoked certificate', () => {
  test('of a caller is refused, on an open connection too, with a reason and a record', async () => {
    const identity = await parties.ca.issue({ uri: idOf(STREAMING) })
    const held = poolOf(identity)
    onTestFinished(() => held.destroy())
    const call = async () => {
      const { statusCode, body } = await held.request({ method: 'GET', path: '/workers' })
      return { status: statusCode, body: (await body.json()) as { error?: string } }
    }
    expect(await call()).toMatchObject({ status: 200 })
    await servedToAll({ crl: [await crlOf(parties.ca, [identity])] })
    expect(await call()).toMatchObject({ status: 401, body: { error: 'client_certificate_revoked' } })
    const isRecorded = async (): Promise<boolean> =>
      (await readAuditLines(parties.auditLog)).some(
        (line) => line.event === 'identity_refused' && line['error'] === 'client_certificate_revoked',
      )
    await until('the refusal is recorded', isRecorded)
    expect(await greet()).toMatchObject({ status: 200 })
    await servedToAll()
    expect(await call()).toMatchObject({ status: 200 })
  })

  test('of a worker keeps calls from it', async () => {
    const worker = await svidOf(parties.ca, idOf(HELLO), {}, { hint: 'greeter' })
    const certPem = new X509Certificate(worker.x509_svid!).toString()
    await servedToAll({ worker })
    expect(await greet()).toMatchObject({ status: 200 })
    await serve({ worker, crl: [await crlOf(parties.ca, [{ certPem }])] })
    await until('calls are refused', async () => (await greet()).status !== 200)
    await servedToAll()
    await until('calls are answered', async () => (await greet()).status === 200)
  })
})

test('each process of a controller has a stream of its own', async () => {
  const before = api.open()
  const dir = join(parties.dir, 'two')
  const env = { CRANK_STATE_DIR: dir, CRANK_PROCESSES: '2', ...settingsFor(idOf('controller')) }
  const two = await startControllerProcess(env)
  expect(api.open()).toBe(before + 2)
  await two.stop('SIGTERM')
  await until('its streams have ended', () => api.open() === before)
})

describe('a start', () => {
  test('with the SVID of somebody else ends, and says what to do', async () => {
    const { code, stderr } = await runController({ CRANK_STATE_DIR: parties.dir, ...settingsFor(idOf(STREAMING)) })
    expect(code).toBe(2)
    expect(stderr).toContain(`is for ${idOf(STREAMING)}, but the controller's identity is ${idOf('controller')}`)
  })

  test('with another trust domain ends, and says what to do', async () => {
    const env = { ...settingsFor(idOf('controller')), CRANK_TRUST_DOMAIN: 'other.test' }
    const { code, stderr } = await runController({ CRANK_STATE_DIR: parties.dir, ...env })
    expect(code).not.toBe(0)
    expect(stderr).toContain('the trust domain is other.test; set CRANK_TRUST_DOMAIN=crank.local')
  })

  test('with files and a socket ends', async () => {
    const env = { ...(await parties.tlsEnv('controller')), SPIFFE_ENDPOINT_SOCKET: api.endpoint }
    const { code, stderr } = await runController({ CRANK_STATE_DIR: parties.dir, ...env })
    expect(code).toBe(2)
    expect(stderr).toContain('an identity has one source; unset the one or the others')
  })
})
