// Two controllers with one key of the mesh, each with a state folder of its own: a chain that began at one goes on at the other.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ensureChainKey } from '../../src/controller/chain/chain-key.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, HELLO, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { readAuditLines, slotOf } from '../fixtures/audit-log.ts'

// Starting processes takes seconds on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 })

const idOf = (path: string): string => `spiffe://crank.local/${path}`
const worker = (path: string, provided: string[]) => ({
  [idOf(path)]: {
    worker_id: path.replace('/', '-'),
    required_capabilities: ['invoke:hello_world'],
    provided_capabilities: provided,
    owner: 'test',
    deployed_at: '2026-11-24T00:00:00Z',
  },
})
const MANIFESTS = { workers: { ...worker(STREAMING, []), ...worker(HELLO, ['invoke:hello_world']) } }

type Controller = ControllerProcess & { readonly auditLog: string }

let parties: Parties
let policies: PolicyDir
const open = new AsyncDisposableStack()
beforeAll(async () => {
  parties = open.adopt(await createParties(), (it) => it.close())
  policies = open.use(await copyPolicies({ 'data/worker_manifests.json': JSON.stringify(MANIFESTS) }))
  await ensureChainKey(keyFile())
})
afterAll(() => open.disposeAsync())

const keyFile = (): string => join(parties.dir, 'mesh.key')

async function start(name: string, env: NodeJS.ProcessEnv): Promise<Controller> {
  const stateDir = join(parties.dir, name)
  await mkdir(stateDir)
  const controller = await startControllerProcess({
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: stateDir,
    CRANK_POLICY_DIR: policies.dir,
    ...env,
  })
  open.defer(async () => {
    await controller.stop('SIGTERM')
  })
  return { ...controller, auditLog: slotOf(stateDir, 0) }
}

async function startHello({ origin }: Controller): Promise<FakeWorker> {
  const fake = await startFakeWorker({ ...parties, request: parties.request.bind(undefined, origin) }, greets)
  open.defer(() => fake.close())
  expect((await fake.register()).status).toBe(200)
  return fake
}

const call = ({ origin }: Controller, caller: string, headers: Record<string, string> = {}): Promise<Answer> =>
  parties.request(
    origin,
    caller,
    postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: { message: 'hi' } }, headers),
  )

test('a token of one is good at the other, and at none with another key', async () => {
  const shared = { CRANK_CHAIN_KEY: keyFile() }
  const [first, second, stranger] = [await start('1', shared), await start('2', shared), await start('3', {})]
  const hello = await startHello(first)
  for (const other of [second, stranger]) await startHello(other)
  const began = await call(first, STREAMING)
  expect(began.status).toBe(200)
  const chain = { 'x-crank-chain': String(hello.seen[0]!.headers['x-crank-chain']) }

  const went = await call(second, HELLO, chain)
  expect(went.status).toBe(200)
  const lines = await readAuditLines(second.auditLog)
  expect(
    lines.find(
      ({ event, decision_id }) => event === 'policy_decision' && decision_id === went.headers['x-decision-id'],
    ),
  ).toMatchObject({ origin: idOf(STREAMING), depth: 1, on_behalf_of: began.headers['x-decision-id'] })

  expect(await call(stranger, HELLO, chain)).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
})
