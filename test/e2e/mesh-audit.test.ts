// The audit records of a mesh in NATS: real controllers ship them, an auditor reads them, with TLS by SVIDs and the permissions
// that the documents give.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { NatsCluster } from '../../scripts/lab/nats-server.ts'
import { AUDIT_STREAM, AUDITOR_INBOX } from '../../src/audit/audit-stream.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { connectNats } from '../../src/platform/nats/connect-nats.ts'
import { loadCredentials } from '../../src/platform/tls/credentials.ts'
import { auditText, slotOf } from '../fixtures/audit-log.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { AUDITOR, startMeshStore, storeEnv } from '../fixtures/nats.ts'
import { createParties, postJson, STREAMING, TRUST_DOMAIN, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { crank } from '../cli/in-process.ts'

let parties: Parties
beforeAll(async () => {
  parties = await createParties()
})
afterAll(async () => {
  await parties.close()
})

async function startStore(options: { servers?: number; denied?: readonly string[] } = {}): Promise<NatsCluster> {
  const nats = await startMeshStore(parties, { ...options, name: randomUUID() })
  onTestFinished(() => nats[Symbol.asyncDispose]())
  return nats
}

async function startController(
  nats: NatsCluster,
  state: string,
  env: NodeJS.ProcessEnv = {},
): Promise<ControllerProcess> {
  const controller = await startControllerProcess({
    ...(await parties.tlsEnv('controller')),
    ...storeEnv(nats),
    CRANK_AUDIT_STREAM: 'on',
    CRANK_STATE_DIR: state,
    ...env,
  })
  onTestFinished(async () => {
    if (controller.child.exitCode === null && controller.child.signalCode === null) await controller.stop('SIGKILL')
  })
  return controller
}

const stateDir = (): string => join(parties.dir, randomUUID())

/** Calls that nobody serves: each is a decision, and most have an outcome. */
async function call({ origin }: ControllerProcess, count: number): Promise<void> {
  const body = postJson('/route', { capability: 'hello_world', verb: 'invoke', payload: {} })
  for (let made = 0; made < count; made += 10) {
    const answers = await Promise.all(Array.from({ length: 10 }, () => parties.request(origin, STREAMING, body)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
  }
}

async function exported(nats: NatsCluster, ...args: string[]) {
  const env = { ...(await parties.tlsEnv(AUDITOR)), ...storeEnv(nats) }
  return crank(['audit', 'export', '--from', 'nats', ...args], { env })
}

/** What all of these logs have, in no order. */
const written = async (logs: readonly string[]): Promise<string[]> =>
  (await Promise.all(logs.map(auditText))).flat().toSorted()

/** The stream has the records of these logs, each once, and every chain is whole. */
async function hasAll(nats: NatsCluster, ...logs: string[]): Promise<void> {
  let last = await exported(nats)
  const lines = (): string[] => last.stdout.split('\n').filter((line) => line !== '')
  await until(
    'the stream has as many records as the logs',
    async () => {
      last = await exported(nats)
      return lines().length >= (await written(logs)).length
    },
    60_000,
  )
  expect(lines().toSorted()).toEqual(await written(logs))
  expect(last).toMatchObject({ code: 0 })
}

async function metric({ adminOrigin }: ControllerProcess, name: string): Promise<number> {
  const text = await (await fetch(`${adminOrigin}/metrics`)).text()
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  )
}

describe('an auditor', () => {
  test('reads the records of all controllers and all of their processes', async () => {
    const nats = await startStore()
    const [one, two] = [stateDir(), stateDir()]
    const single = await startController(nats, one)
    const several = await startController(nats, two, { CRANK_PROCESSES: '2' })
    await Promise.all([call(single, 20), call(several, 40)])
    await hasAll(nats, slotOf(one, 0), slotOf(two, 0), slotOf(two, 1))
    const { stdout } = await exported(nats)
    const times = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { timestamp: string }).timestamp)
    // A chain keeps its own order, which its clock may differ from by a moment.
    expect(times.at(0)! < times.at(-1)!).toBe(true)
  })

  test('is refused whatever else it tries, and a controller reads and deletes nothing', async () => {
    const nats = await startStore()
    const state = stateDir()
    await call(await startController(nats, state), 10)
    await hasAll(nats, slotOf(state, 0))
    const auditor = await connected(nats, AUDITOR, AUDITOR_INBOX)
    await expect(auditor.request('crank.audit.forged', 'x')).rejects.toThrow(/Permissions Violation/i)
    await expect(auditor.request(`$JS.API.STREAM.DELETE.${AUDIT_STREAM}`)).rejects.toThrow(/Permissions Violation/i)
    const controller = await connected(nats, 'controller')
    const { streams } = await jetstreamManager(controller, { checkAPI: false })
    await expect(streams.getMessage(AUDIT_STREAM, { seq: 1 })).rejects.toThrow(/Permissions Violation/i)
    await expect(streams.delete(AUDIT_STREAM)).rejects.toThrow(/Permissions Violation/i)
    await expect(controller.request(`$JS.API.DIRECT.GET.${AUDIT_STREAM}`, '{"seq":1}')).rejects.toThrow(
      /Permissions Violation/i,
    )
    const stranger = await crank(['audit', 'export', '--from', 'nats'], {
      env: { ...(await parties.tlsEnv(STREAMING)), ...storeEnv(nats) },
    })
    expect(stranger).toMatchObject({ code: 3, stdout: '' })
    expect(stranger.stderr).toContain('NATS does not know this identity; add its SPIFFE ID to the users')
  })
})

describe('a controller', () => {
  test('is killed again and again while it ships: the stream has each record once', async () => {
    const nats = await startStore()
    const state = stateDir()
    for (let kill = 0; kill < 4; kill++) {
      const controller = await startController(nats, state)
      await call(controller, 60)
      if (kill % 2 === 0) await until('it ships', async () => (await metric(controller, ACCEPTED)) > 0)
      await controller.stop('SIGKILL')
    }
    await startController(nats, state)
    await hasAll(nats, slotOf(state, 0))
  })

  test('that may not write there says so, and serves', async () => {
    const nats = await startStore({ denied: ['"crank.audit.>"'] })
    const controller = await startController(nats, stateDir())
    await call(controller, 10)
    const failed = (): unknown => controller.log.find(({ event }) => event === 'audit_ship_failed')
    await until('it says so', () => failed() !== undefined)
    expect(failed()).toMatchObject({
      level: 'warn',
      slot: 0,
      target: 'nats',
      reason: expect.stringMatching(
        /^NATS: this identity may not publish crank\.audit\.[0-9a-f-]{36}; give it the permissions that docs\/operations\/audit\.md lists$/,
      ) as string,
    })
    await call(controller, 10)
    expect(await metric(controller, 'controller_audit_ship_lag_records{target="nats"}')).toBeGreaterThan(0)
  })

  test('whose stream is full serves, and the lag grows until there is room', async () => {
    const nats = await startStore()
    const operator = await connected(nats, 'nats')
    const { streams } = await jetstreamManager(operator, { checkAPI: false })
    await streams.add({
      name: AUDIT_STREAM,
      subjects: ['crank.audit.*'],
      discard: 'new',
      allow_atomic: true,
      allow_direct: true,
      max_bytes: 2000,
    })
    const state = stateDir()
    const controller = await startController(nats, state)
    await call(controller, 20)
    const said = (event: string): boolean => controller.log.some((line) => line.event === event)
    await until('it says so', () => said('audit_ship_failed'))
    await until('the lag is known', async () => (await metric(controller, LAG_SECONDS)) > 0, 30_000)
    await call(controller, 20)
    expect((await fetch(`${controller.adminOrigin}/readyz`)).status).toBe(200)
    await streams.update(AUDIT_STREAM, { max_bytes: 10_000_000 })
    await hasAll(nats, slotOf(state, 0))
    await until('the lag is over', async () => (await metric(controller, LAG_SECONDS)) === 0, 30_000)
    expect(said('audit_ship_resumed')).toBe(true)
  })

  test('ships to three servers while their leader is killed', async () => {
    const nats = await startStore({ servers: 3 })
    const state = stateDir()
    const controller = await startController(nats, state)
    await call(controller, 20)
    await hasAll(nats, slotOf(state, 0))
    const operator = await connected(nats, 'nats')
    const { streams } = await jetstreamManager(operator, { checkAPI: false })
    const leader = (await streams.info(AUDIT_STREAM)).cluster?.leader
    const server = nats.servers.find(({ name }) => name === leader)
    await server!.signal('SIGKILL')
    await call(controller, 40)
    await server!.start()
    await hasAll(nats, slotOf(state, 0))
  })
})

const ACCEPTED = 'controller_audit_shipped_total{target="nats",outcome="accepted"}'
const LAG_SECONDS = 'controller_audit_ship_lag_seconds{target="nats"}'

/** A connection of its own, closed with the test. */
async function connected(nats: NatsCluster, path: string, inboxPrefix = '_INBOX'): Promise<NatsConnection> {
  const credentials = await loadCredentials(await parties.filesOf(path), Date.now)
  const servers = nats.servers.map(({ port }) => `127.0.0.1:${port}`)
  const target = { servers, isTls: true, id: parseSpiffeId(`spiffe://${TRUST_DOMAIN}/nats`), replicas: 1 }
  const nc = await connectNats({ target, source: { current: () => credentials }, name: path, inboxPrefix })
  onTestFinished(() => nc.close())
  return nc
}
