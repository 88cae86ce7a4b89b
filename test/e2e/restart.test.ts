// What a restarted controller makes of the registry on disk: a hint, which every worker must prove again.
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, HELLO, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { copyPolicies } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine, readAuditLines } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let env: NodeJS.ProcessEnv
let controller: ControllerProcess
const open: { close: () => Promise<void> }[] = []
beforeEach(async () => {
  parties = await createParties()
  // The fakes send no heartbeats.
  const heartbeats = { CRANK_HEARTBEAT_INTERVAL_MS: '60000' }
  env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir, ...heartbeats }
  controller = await startControllerProcess(env)
})
afterEach(async () => {
  await controller.stop('SIGKILL')
  await Promise.all(open.splice(0).map((one) => one.close()))
  await parties.close()
})

const request: Parties['request'] extends (origin: string, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never = (path, options) => parties.request(controller.origin, path, options)
const hello = (): Promise<Answer> =>
  request(STREAMING, postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }))
const heartbeat = (lease: string): Promise<Answer> =>
  request(HELLO, postJson('/heartbeat', { worker_id: 'worker-hello-world', lease }))
const audit = (): Promise<AuditLine[]> => readAuditLines(parties.auditLog)
const logged = (event: string) => controller.log.filter((line) => line.event === event)
const hintFile = (): string => join(parties.dir, 'registry.json')
const hint = (): Promise<string> => readFile(hintFile(), 'utf8').catch(() => '')

type WorkerOptions = NonNullable<Parameters<typeof startFakeWorker>[2]>

async function startWorker(options: WorkerOptions = {}): Promise<FakeWorker> {
  const worker = await startFakeWorker({ ...parties, request }, greets, options)
  open.push(worker)
  return worker
}

/** Registers the worker; resolves with its lease when the disk has it. */
async function registered(worker: FakeWorker, workerId = 'worker-hello-world'): Promise<string> {
  const answer = await worker.register({ workerId })
  expect(answer.status).toBe(200)
  const lease = answer.body.lease as string
  await until('the worker is on the disk', async () => (await hint()).includes(sha256(lease)))
  return lease
}

async function ended(worker: FakeWorker): Promise<void> {
  open.splice(open.indexOf(worker), 1)
  await worker.close()
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

async function routable(): Promise<unknown[]> {
  const { workers } = (await (await fetch(`${controller.adminOrigin}/workers`)).json()) as { workers: object[] }
  return workers
}

async function restart(signal: NodeJS.Signals, change: NodeJS.ProcessEnv = {}): Promise<void> {
  await controller.stop(signal)
  controller = await startControllerProcess({ ...env, ...change, CRANK_PORT: new URL(controller.origin).port })
}

/** The registrations that this run of the controller has decided. */
async function registrations(): Promise<AuditLine[]> {
  const records = await audit()
  const start = records.findLastIndex(({ event }) => event === 'controller_started')
  return records.slice(start).filter(({ event }) => event === 'worker_registration')
}

describe.each(['SIGKILL', 'SIGTERM'] as const)('after a restart by %s', (signal) => {
  test('a worker is routable without doing anything, after a new decision and a new probe, with its old lease', async () => {
    const lease = await registered(await startWorker())
    await restart(signal)
    await until('the worker is back', async () => (await hello()).status === 200)
    expect(await registrations()).toMatchObject([
      { decision: 'allow', requester_spiffe_id: 'spiffe://crank.local/worker/hello-world' },
    ])
    expect((await heartbeat(lease)).status).toBe(200)
    expect((await heartbeat('another')).status).toBe(404)
    await until('the log has the numbers', () => logged('registry_recalled').length === 1)
    expect(logged('registry_recalled')).toMatchObject([{ remembered: 1, restored: 1, refused: 0 }])
  })
})

test('a worker that is too busy for the first probe is routable after the second', async () => {
  const worker = await startWorker()
  await registered(worker)
  worker.silentProbes(1)
  await restart('SIGKILL')
  await until('the worker is back', async () => (await hello()).status === 200)
  await until('the log has the numbers', () => logged('registry_recalled').length === 1)
  expect(logged('worker_probe_failed')).toMatchObject([{ kind: 'no_answer' }])
  expect(logged('registry_recalled')).toMatchObject([{ remembered: 1, restored: 1, refused: 0 }])
})

test('only workers that are still there, themselves and registered, come back', async () => {
  const [good, left, stolen, moved, dead] = [
    await startWorker({ workerId: 'worker-hello-world.good' }),
    await startWorker(),
    await startWorker(),
    await startWorker(),
    await startWorker(),
  ]
  await registered(good, 'worker-hello-world.good')
  const lease = await registered(left, 'worker-hello-world.left')
  await registered(stolen, 'worker-hello-world.stolen')
  await registered(moved, 'worker-hello-world.moved')
  await registered(dead, 'worker-hello-world.dead')
  for (const worker of [stolen, moved, dead]) await ended(worker)
  const thief = await startWorker({ shows: STREAMING, port: stolen.port })
  const successor = await startWorker({ workerId: 'worker-hello-world.other', port: moved.port })
  const deregistration = { worker_id: 'worker-hello-world.left', lease }
  expect((await request(HELLO, postJson('/deregister', deregistration))).status).toBe(200)
  // The very next moment: what was answered is on the disk.
  await restart('SIGKILL')
  await until('all are checked', () => logged('registry_recalled').length === 1)
  expect(logged('registry_recalled')).toMatchObject([{ remembered: 4, restored: 1, refused: 3 }])
  expect(await routable()).toMatchObject([{ worker_id: 'worker-hello-world.good', state: 'live' }])
  expect(
    logged('worker_probe_failed')
      .map(({ kind }) => kind)
      .sort(),
    'each is looked at twice',
  ).toEqual(['connect_refused', 'connect_refused', 'identity', 'identity', 'other_worker', 'other_worker'])
  for (let n = 0; n < 10; n++) expect((await hello()).headers['x-worker-id']).toBe('worker-hello-world.good')
  expect([left, thief, successor].map(({ seen }) => seen.length)).toEqual([0, 0, 0])
  await until('the others are forgotten', async () => (await hint()).match(/lease_sha256/g)?.length === 1)
})

test('an instance that was replaced does not come back with its lease, though the controller dies at that moment', async () => {
  const stopped = await startWorker()
  const old = await registered(stopped)
  const replacement = await startWorker()
  const answer = await replacement.register()
  await restart('SIGKILL')
  await until('the replacement is back', async () => (await hello()).status === 200)
  expect((await heartbeat(old)).status).toBe(404)
  expect((await heartbeat(answer.body.lease as string)).status).toBe(200)
  expect(stopped.seen).toHaveLength(0)
})

test('a worker whose identity was blocked meanwhile does not come back, and that is in the audit log', async () => {
  const lease = await registered(await startWorker())
  const blocked = { identities: { 'spiffe://crank.local/worker/hello-world': 'stolen' }, capabilities: {} }
  await using policies = await copyPolicies({ 'data/blocked.json': JSON.stringify({ blocked }) })
  await restart('SIGKILL', { CRANK_POLICY_DIR: policies.dir })
  await until('it is checked', () => logged('registry_recalled').length === 1)
  expect(await registrations()).toMatchObject([{ decision: 'deny', reasons: [{ code: 'identity_blocked' }] }])
  expect(await routable()).toEqual([])
  expect((await heartbeat(lease)).status).toBe(403)
  expect((await hello()).status).toBe(503)
})

test('a file that cannot be used is reported, and stops nothing: workers register again', async () => {
  const worker = await startWorker()
  const lease = await registered(worker)
  await controller.stop('SIGKILL')
  await writeFile(hintFile(), (await hint()).slice(0, -9))
  controller = await startControllerProcess({ ...env, CRANK_PORT: new URL(controller.origin).port })
  expect(logged('registry_hint_ignored')).toMatchObject([{ level: 'warn', file: hintFile() }])
  expect((await heartbeat(lease)).status).toBe(404)
  await registered(worker)
  expect((await hello()).status).toBe(200)
})
