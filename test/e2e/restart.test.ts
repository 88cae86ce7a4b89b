// What a restarted controller makes of the registry on disk: a hint, which every worker must prove again.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import {
  createParties,
  HELLO,
  postJson,
  readAuditLines,
  STREAMING,
  type Answer,
  type AuditLine,
  type Parties,
} from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

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
const audit = (): Promise<AuditLine[]> => readAuditLines(`${parties.dir}/audit.jsonl`)
const logged = (event: string) => controller.log.filter((line) => line.event === event)
const hintFile = (): string => join(parties.dir, 'registry.json')
const hint = (): Promise<string> => readFile(hintFile(), 'utf8').catch(() => '')

async function startWorker(port = 0, shows = HELLO): Promise<FakeWorker> {
  const worker = await startFakeWorker({ ...parties, request }, greets, { shows, port })
  open.push(worker)
  return worker
}

async function registered(worker: FakeWorker): Promise<string> {
  const answer = await worker.register()
  expect(answer.status).toBe(200)
  const lease = answer.body.lease as string
  await until('the worker is on the disk', async () => (await hint()).includes(sha256(lease)))
  return lease
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
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
    expect(logged('registry_recalled')).toMatchObject([{ remembered: 1, restored: 1, refused: 0 }])
  })
})
