// The block list of a mesh: an operator blocks once, and every controller refuses. Real controllers (one of two processes), a real
// NATS server with the permissions of the documents, and `crank` as a process.
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NatsCluster } from '../../scripts/lab/nats-server.ts'
import { crank, type Finished } from '../cli/crank.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { OPERATOR, startMeshStore, storeEnv } from '../fixtures/nats.ts'
import { createParties, HELLO, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const STREAMING_ID = `spiffe://crank.local/${STREAMING}`
const OPERATOR_ID = `spiffe://crank.local/${OPERATOR}`
const EMPTY = '{ "blocked": { "identities": {}, "capabilities": {} } }\n'
/** Far more than the second that is promised: the machine of a test may be busy. */
const SOON_MS = 10_000

let parties: Parties
let nats: NatsCluster
let policies: PolicyDir
let worker: FakeWorker
let elsewhere: string
const controllers: ControllerProcess[] = []

async function startController(
  name: string,
  env: NodeJS.ProcessEnv = {},
  options: Parameters<typeof startControllerProcess>[1] = {},
): Promise<ControllerProcess> {
  const variables = {
    ...(await parties.tlsEnv('controller')),
    ...storeEnv(nats),
    CRANK_STATE_DIR: join(parties.dir, name),
    CRANK_POLICY_DIR: policies.dir,
    CRANK_HEARTBEAT_INTERVAL_MS: '60000',
    ...env,
  }
  return startControllerProcess(variables, options)
}

beforeAll(async () => {
  parties = await createParties()
  nats = await startMeshStore(parties)
  policies = await copyPolicies({ 'data/blocked.json': EMPTY })
  elsewhere = join(parties.dir, 'elsewhere')
  await mkdir(elsewhere)
  // One after the other: they start faster so on a busy machine.
  controllers.push(await startController('a'), await startController('b'))
  controllers.push(await startController('c', { CRANK_PROCESSES: '2' }))
  worker = await startFakeWorker(
    { ...parties, request: () => Promise.reject(new Error('registers by the test')) },
    greets,
  )
  await register()
})
afterAll(async () => {
  await Promise.all(controllers.map((one) => one.stop('SIGTERM')))
  await worker.close()
  await nats[Symbol.asyncDispose]()
  await policies[Symbol.asyncDispose]()
  await parties.close()
})

const at = (index: number): ControllerProcess => controllers[index]!
const greet = ({ origin }: ControllerProcess): Promise<Answer> =>
  parties.request(origin, STREAMING, postJson('/route', { capability: 'hello_world', verb: 'invoke', payload: {} }))
const answers = (): Promise<Answer[]> => Promise.all(controllers.map(greet))
const allAnswer = (status: number, reason?: string): Promise<void> =>
  until(`all answer ${status}`, async () =>
    (await answers()).every((one) => one.status === status && one.body.reason_code === reason),
  )
async function register(): Promise<void> {
  const body = { worker_id: 'worker-hello-world', worker_url: worker.url, capabilities: [HELLO_SCHEMA] }
  expect(await parties.request(at(0).origin, HELLO, postJson('/register', body))).toMatchObject({ status: 200 })
  await allAnswer(200)
}
/** `crank` where there is no policy folder. */
async function operate(args: readonly string[], env: NodeJS.ProcessEnv = {}, who = OPERATOR): Promise<Finished> {
  return crank(args, { env: { ...storeEnv(nats), ...(await parties.tlsEnv(who)), ...env }, cwd: elsewhere })
}
const inFile = async (): Promise<Record<string, Record<string, unknown>>> =>
  (JSON.parse(await readFile(join(policies.dir, 'data/blocked.json'), 'utf8')) as { blocked: never }).blocked
const auditOf = async (name: string, slot = 0): Promise<Record<string, unknown>[]> => {
  const text = await readFile(join(parties.dir, name, 'audit', String(slot), '1.jsonl'), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
const blockRecords = async (name: string, slot = 0) =>
  (await auditOf(name, slot)).filter(({ event }) => event === 'block_changed')
/** Ms between the word of the operator and its record in a log, of the newest change. */
const delayOf = ({ log }: ControllerProcess): number => {
  const line = log.filter(({ event }) => event === 'block_changed').at(-1)
  return new Date(line?.['time'] as string).getTime() - Date.parse(String(line?.['requested_at']))
}

describe('a block of the mesh', () => {
  test('is in force on every controller, names who and why in each audit log, and is lifted again', async () => {
    const blocked = await operate(['block', STREAMING_ID, '--reason', 'INC-12: key stolen', '-o', 'json'])
    expect(blocked).toMatchObject({ code: 0 })
    expect(JSON.parse(blocked.stdout)).toMatchObject({
      section: 'identities',
      name: STREAMING_ID,
      blocked: true,
      by: OPERATOR_ID,
      reason: 'INC-12: key stolen',
      written: [{ place: 'mesh', changed: true }],
      failed: [],
    })
    await allAnswer(403, 'identity_blocked')
    const expected = {
      names: [`+${STREAMING_ID}`],
      requested_by: OPERATOR_ID,
      reason: 'INC-12: key stolen',
    }
    for (const [name, slot] of [['a', 0] as const, ['b', 0] as const, ['c', 0] as const, ['c', 1] as const]) {
      expect(await blockRecords(name, slot)).toMatchObject([expected])
    }
    const delays = controllers.map(delayOf)
    // The figure for the documents; the promise is a second.
    process.stdout.write(`block to record: ${delays.map((ms) => `${ms} ms`).join(', ')}\n`)
    for (const ms of delays) expect(ms).toBeLessThan(SOON_MS)
    const metrics = await (await fetch(`${at(2).adminOrigin}/metrics`)).text()
    expect(metrics).toContain('controller_blocked_entries{source="mesh"} 1')

    const again = await operate(['block', STREAMING_ID, '--reason', 'again'])
    expect(again).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('the mesh had it blocked already') as string,
    })

    const listed = await operate(['block', '--list', '-o', 'json'])
    expect(JSON.parse(listed.stdout)).toMatchObject({
      blocks: [{ name: STREAMING_ID, source: 'mesh', by: OPERATOR_ID, reason: 'INC-12: key stolen' }],
    })
    const lifted = await operate(['unblock', STREAMING_ID, '--reason', 'new key'])
    expect(lifted).toMatchObject({ code: 0, stdout: '' })
    expect(lifted.stderr).toContain(`${STREAMING_ID}: unblocked on every controller of the mesh, within a second`)
    expect(lifted.stderr).toContain('a block in data/blocked.json of a controller stays in force')
    await allAnswer(200)
    expect((await blockRecords('c', 1)).at(-1)).toMatchObject({ names: [`-${STREAMING_ID}`], reason: 'new key' })
    const nothing = await operate(['unblock', STREAMING_ID, '--reason', 'new key'])
    expect(nothing).toMatchObject({ code: 1, stderr: expect.stringContaining('is not blocked') as string })
    expect((await operate(['block', '--list'])).stdout).toBe('nothing is blocked\n')
  })

  test('stops a capability, and a certificate by its PEM file', async () => {
    expect(await operate(['block', 'invoke:hello_world', '--reason', 'broken'])).toMatchObject({ code: 0 })
    await allAnswer(403, 'capability_blocked')
    expect(await operate(['unblock', 'invoke:hello_world', '--reason', 'repaired'])).toMatchObject({ code: 0 })
    await allAnswer(200)
    const { certFile } = await parties.filesOf(STREAMING)
    expect(await operate(['block', certFile, '--reason', 'stolen'])).toMatchObject({ code: 0 })
    await allAnswer(403, 'certificate_blocked')
    expect(await operate(['unblock', certFile, '--reason', 'found'])).toMatchObject({ code: 0 })
    await allAnswer(200)
  })

  test('evicts the workers of a blocked identity everywhere', async () => {
    expect(await operate(['block', `spiffe://crank.local/${HELLO}`, '--reason', 'INC-13'])).toMatchObject({ code: 0 })
    await allAnswer(503)
    expect((await auditOf('a')).some(({ event }) => event === 'worker_evicted')).toBe(true)
    expect(await operate(['unblock', `spiffe://crank.local/${HELLO}`, '--reason', 'over'])).toMatchObject({ code: 0 })
    await until('it may register', async () => {
      const body = { worker_id: 'worker-hello-world', worker_url: worker.url, capabilities: [HELLO_SCHEMA] }
      return (await parties.request(at(0).origin, HELLO, postJson('/register', body))).status === 200
    })
    await register()
  })
})

describe('the union of file and mesh', () => {
  test('is in force: a block that one of them still has stays', async () => {
    const here = { CRANK_POLICY_DIR: policies.dir }
    const blocked = await operate(['block', STREAMING_ID, '--reason', 'INC-14'], here)
    expect(blocked).toMatchObject({ code: 0 })
    expect(blocked.stderr).toContain('blocked on every controller of the mesh')
    expect(blocked.stderr).toContain('blocked on each controller that reads this folder')
    await allAnswer(403, 'identity_blocked')
    expect(await inFile()).toMatchObject({ identities: { [STREAMING_ID]: { reason: 'INC-14', by: OPERATOR_ID } } })

    const inMesh = await operate(['unblock', STREAMING_ID, '--reason', 'half'])
    expect(inMesh).toMatchObject({ code: 0 })
    await until('the mesh has lifted it', async () => (await blockRecords('b')).at(-1)?.['reason'] === 'half')
    expect((await answers()).map(({ status }) => status)).toEqual([403, 403, 403])

    const without = await crank(['unblock', STREAMING_ID, '--reason', 'whole'], { env: here, cwd: elsewhere })
    expect(without).toMatchObject({ code: 0 })
    expect(without.stderr).toContain('CRANK_NATS_URL is not set: a block of the mesh, if there is one, stays in force')
    await allAnswer(200)
    expect(await inFile()).toEqual({ identities: {}, capabilities: {} })
  })
})

describe('an identity that is no operator', () => {
  test('is refused: the controllers may not write, and a worker may not even connect', async () => {
    for (const who of ['controller', STREAMING]) {
      const refused = await operate(['block', STREAMING_ID, '--reason', 'no'], {}, who)
      expect(refused).toMatchObject({ code: 1 })
      expect(refused.stderr).toContain(`does not let spiffe://crank.local/${who} change the blocks of the mesh`)
      expect(refused.stderr).toContain('use the certificate of an operator')
    }
    expect((await answers()).map(({ status }) => status)).toEqual([200, 200, 200])
  })
})

describe('while NATS is away', () => {
  test('a block goes to the file alone, and the exit code says that the mesh has not heard of it', async () => {
    const here = { CRANK_POLICY_DIR: policies.dir }
    await nats.servers[0]!.signal('SIGKILL')
    const blocked = await operate(['block', 'invoke:hello_world', '--reason', 'INC-15'], here)
    expect(blocked).toMatchObject({ code: 3 })
    expect(blocked.stderr).toContain('the mesh is unchanged: cannot reach NATS at 127.0.0.1:')
    expect(blocked.stderr).toContain('blocked on each controller that reads this folder')
    expect(blocked.stderr).toContain('repeat the command when this is corrected')
    await allAnswer(403, 'capability_blocked')
    await nats.servers[0]!.start()
    const lifted = await operate(['unblock', 'invoke:hello_world', '--reason', 'over'], here)
    expect(lifted).toMatchObject({ code: 0 })
    await allAnswer(200)
  })

  test('the last known list stays in force, also over a restart; a controller without one makes no decision', async () => {
    expect(await operate(['block', STREAMING_ID, '--reason', 'INC-16'])).toMatchObject({ code: 0 })
    await allAnswer(403, 'identity_blocked')
    await nats.servers[0]!.signal('SIGKILL')
    await at(0).stop('SIGTERM')
    controllers[0] = await startController('a')
    expect(at(0).log.some(({ event }) => event === 'mesh_blocks_unconfirmed')).toBe(true)
    expect(await greet(at(0))).toMatchObject({ status: 403, body: { reason_code: 'identity_blocked' } })
    const checkOf = async ({ adminOrigin }: ControllerProcess): Promise<{ ok: boolean; reason?: string }> => {
      const { checks } = (await (await fetch(`${adminOrigin}/readyz`)).json()) as { checks: { name: string }[] }
      return checks.find(({ name }) => name === 'policy') as never
    }
    const lastKnown = 'the shared store is away: the last known block list of the mesh is in force'
    for (const index of [0, 1, 2]) {
      await until('readiness says so', async () => (await checkOf(at(index))).reason === lastKnown)
      expect(await checkOf(at(index))).toMatchObject({ ok: true })
    }
    // One that has no list: it serves, and decides nothing until NATS is back.
    await at(0).stop('SIGTERM')
    await rm(join(parties.dir, 'a', 'mesh-blocks.json'))
    controllers[0] = await startController('a', {}, { waitReady: false })
    const unknown = 'the block list of the mesh is not known'
    expect(await checkOf(at(0))).toMatchObject({ ok: false, reason: expect.stringContaining(unknown) as string })
    expect(await greet(at(0))).toMatchObject({ status: 503, body: { error: 'policy_not_ready' } })
    await nats.servers[0]!.start()
    await until('it knows the list', async () => (await greet(at(0))).status === 403)
    expect(await operate(['unblock', STREAMING_ID, '--reason', 'over'])).toMatchObject({ code: 0 })
    await until('it is lifted everywhere', async () => (await answers()).every(({ status }) => status !== 403))
  })
})
