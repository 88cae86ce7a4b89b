// The commands of docs/operations/incident.md find what the page says, each in its case, brought about on a real controller.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { request, Agent } from 'undici'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { startOpa } from '../../scripts/lab/opa-server.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { startMeshStore, storeEnv } from '../fixtures/nats.ts'
import { createParties, postJson, STREAMING, TRUST_DOMAIN, type Answer, type Parties } from '../fixtures/parties.ts'
import { writeCredentials } from '../fixtures/pki/credential-files.ts'
import { until } from '../fixtures/until.ts'
import { startWorkerProcess, type WorkerProcess } from '../fixtures/worker-process.ts'
import { ROOT } from './markdown.ts'
import { guideBlocks, runCommands, type Ran } from './guide-blocks.ts'

vi.setConfig({ testTimeout: 120_000 })

const CALLER = `spiffe://${TRUST_DOMAIN}/${STREAMING}`
const HELLO_WORLD = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }
const CALL = postJson('/route', HELLO_WORLD)
const HOUR_MS = 3_600_000
const blocks = guideBlocks(await readFile(join(ROOT, 'docs/operations/incident.md'), 'utf8'))

let folder: string
let parties: Parties
let env: NodeJS.ProcessEnv
let callerEnv: NodeJS.ProcessEnv
let controller: ControllerProcess | undefined
let worker: WorkerProcess | undefined

beforeAll(async () => {
  parties = await createParties()
  callerEnv = await parties.tlsEnv(STREAMING)
})
afterAll(() => parties.close())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crank-incident-'))
  const dir = join(folder, 'policies')
  await cp(join(ROOT, 'policies'), dir, { recursive: true })
  env = { CRANK_STATE_DIR: join(folder, '.crank'), CRANK_POLICY_DIR: dir, CRANK_HEARTBEAT_INTERVAL_MS: '500' }
})
afterEach(async () => {
  await worker?.kill()
  await controller?.stop('SIGKILL')
  worker = undefined
  controller = undefined
  await rm(folder, { recursive: true, force: true })
})

async function startBoth(more: NodeJS.ProcessEnv = {}): Promise<void> {
  controller = await startControllerProcess({ ...env, ...(await parties.tlsEnv('controller')), ...more })
  worker = await startWorkerProcess({ tlsEnv: parties.tlsEnv, dir: folder }, controller.origin)
}

const call = (): Promise<Answer> => parties.request(controller!.origin, STREAMING, CALL)
const isLogged = (event: string): boolean => controller!.log.some((line) => line.event === event)
const answersWith = (error: string): Promise<void> =>
  until(`calls get ${error}`, async () => (await call()).body?.error === error)
const data = (name: string): string => join(env['CRANK_POLICY_DIR']!, 'data', name)

/** Runs the blocks under a heading as they stand, in the folder of the case. */
async function run(
  heading: string,
  { at = 0, more = {} }: { at?: number; more?: NodeJS.ProcessEnv } = {},
): Promise<Ran[]> {
  const block = blocks.filter((one) => one.heading === heading)[at]
  expect(block, heading).toBeDefined()
  const places = { CRANK_ADMIN_URL: controller?.adminOrigin, CONTROLLER_URL: controller?.origin }
  return runCommands(block!.commands, folder, { ...env, ...callerEnv, ...places, ...more })
}

test('a worker that is gone: its state, the calls that failed, its registration', async () => {
  await startBoth()
  await worker!.kill()
  await answersWith('no_worker_available')
  const [workers, failed, about] = await run('One capability gets 503')
  expect(workers!.stdout).toMatch(/worker-hello-world +(?:stale|suspect)/)
  expect(failed!.stdout).toContain('503')
  expect(about!.stdout).toContain('register allow')
})

test('a call that the policy denies since a change: the denial, the change, and what would allow it', async () => {
  await startBoth()
  expect((await call()).status).toBe(200)
  const manifests = JSON.parse(await readFile(data('worker_manifests.json'), 'utf8')) as {
    workers: Record<string, { required_capabilities: string[] }>
  }
  manifests.workers[CALLER]!.required_capabilities = []
  await writeFile(data('worker_manifests.json'), JSON.stringify(manifests))
  await answersWith('capability_access_denied')
  const [denials, changed, why] = await run('Calls are denied that were allowed yesterday')
  expect(denials!.stdout).toMatch(new RegExp(`deny +${CALLER}`))
  expect(changed!.stdout).toContain('policy_changed')
  expect(why!.stdout).toContain('declare invoke:hello_world')
})

test('a certificate that has expired: who was refused, and what is wrong with it', async () => {
  await startBoth()
  const issued = await parties.ca.issue({
    uri: CALLER,
    notBeforeMs: Date.now() - 2 * HOUR_MS,
    notAfterMs: Date.now() - HOUR_MS,
  })
  const { certFile } = await writeCredentials(join(folder, 'pki'), { name: 'old', issued, cas: [parties.ca] })
  const dispatcher = new Agent({ connect: { ca: parties.ca.certPem, cert: issued.chainPem, key: issued.keyPem } })
  const { statusCode, body } = await request(`${controller!.origin}/workers`, { dispatcher })
  expect(await body.json()).toMatchObject({ error: 'client_certificate_expired' })
  expect(statusCode).toBe(401)
  await dispatcher.close()
  const [refused, inspected, metrics] = await run('Calls get 401 after midnight', {
    more: { CRANK_TLS_CERT: certFile },
  })
  expect(refused!.stdout).toContain('client_certificate_expired')
  expect(inspected!.stdout).toContain('the certificate has expired')
  expect(metrics!.stdout).toMatch(/client_certificate_expired"\} 1$/m)
})

test('a slow worker: the calls that timed out, and how late the controller itself is', async () => {
  await startBoth({ CRANK_HEARTBEAT_INTERVAL_MS: '60000' })
  worker!.child.kill('SIGSTOP')
  const slow = postJson('/route', { ...HELLO_WORLD, timeout_ms: 300 })
  expect((await parties.request(controller!.origin, STREAMING, slow)).status).toBe(504)
  worker!.child.kill('SIGCONT')
  const [, timeouts, metrics] = await run('Latency is up')
  expect(timeouts!.stdout).toMatch(/timeout .* 504 /)
  expect(metrics!.stdout).toContain('controller_event_loop_delay_seconds')
})

test('a disk without room: the check that is red, and why', async () => {
  const settings = { ...env, ...(await parties.tlsEnv('controller')), CRANK_AUDIT_MIN_FREE: '99%' }
  controller = await startControllerProcess(settings, { waitReady: false })
  await answersWith('audit_unavailable')
  const [ready, checked] = await run('The disk is full')
  expect(ready!.stdout).toContain('too little of the disk is free (CRANK_AUDIT_MIN_FREE)')
  expect(checked!.stdout).toContain('× controller audit')
})

test('NATS is away: calls go on, those with a key do not, and the controller stays ready', async () => {
  await using nats = await startMeshStore(parties, { name: 'incident-nats' })
  await startBoth(storeEnv(nats))
  await nats.servers[0]!.signal('SIGKILL')
  const readiness = async (): Promise<string> => (await fetch(`${controller!.adminOrigin}/readyz`)).text()
  await until('it is noticed', async () => (await readiness()).includes('the shared store has been away'))
  expect((await call()).status).toBe(200)
  const keyed = postJson('/route', { ...HELLO_WORLD, timeout_ms: 1000 }, { 'idempotency-key': 'k1' })
  expect((await parties.request(controller!.origin, STREAMING, keyed)).body.error).toBe('idempotency_unavailable')
  const [ready, , metrics] = await run('NATS is away')
  expect(JSON.parse(ready!.stdout)).toMatchObject({ status: 'ready' })
  expect(ready!.stdout).toContain('the shared store has been away')
  expect(metrics!.stdout).toMatch(/^controller_mesh_connected 0$/m)
})

test('an identity is blocked as the page says, and every call of it is refused', async () => {
  await startBoth()
  expect((await call()).status).toBe(200)
  const [inspected] = await run('A worker or its key is compromised')
  expect(inspected!.stdout).toMatch(/^sha256 +[0-9a-f]{64}$/m)
  await answersWith('capability_access_denied')
  const [, denials] = await run('A worker or its key is compromised', { at: 1 })
  expect(denials!.stdout).toContain('the identity is blocked')
})

test('a log that somebody cut: which records are missing', async () => {
  await startBoth()
  for (let calls = 0; calls < 3; calls++) await call()
  await until('a checkpoint is there', () => isLogged('audit_checkpoint'))
  await controller!.stop('SIGTERM')
  controller = undefined
  const newest = join(folder, '.crank/audit/0/1.jsonl')
  const lines = (await readFile(newest, 'utf8')).trimEnd().split('\n')
  await writeFile(newest, `${lines.slice(0, 3).join('\n')}\n`)
  const [verified, , tail] = await run('`crank audit verify` fails')
  expect(verified!.stdout + verified!.stderr).toContain('are missing at the end')
  expect(tail!.stdout).not.toBe('')
})

test('OPA is down: the red check, and the calls without a decision', async () => {
  const opa = await startOpa({ policyDir: env['CRANK_POLICY_DIR'] })
  await startBoth({ OPA_URL: opa.url })
  await opa.kill()
  await answersWith('policy_engine_unavailable')
  await until('it is noticed', () => isLogged('opa_unreachable'))
  const [ready, , calls] = await run('OPA is down')
  expect(ready!.stdout).toContain('the policy engine does not respond')
  expect(calls!.stdout).toContain('policy_engine_unavailable')
})
