// Real SPIRE: controller and workers take their identities from the socket of an agent, and live through what an operator does.
import { setTimeout as delay } from 'node:timers/promises'
import { Pool, type Dispatcher } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createX509Source, type X509Source } from '../../src/spiffe/index.ts'
import { crank, type Finished } from '../cli/crank.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, HELLO, postJson, STREAMING, TRUST_DOMAIN, type Parties } from '../fixtures/parties.ts'
import { startSpire, type Spire } from '../fixtures/stack/spire.ts'
import { until } from '../fixtures/until.ts'
import { startWorkerProcess, type WorkerProcess } from '../fixtures/worker-process.ts'

const PATIENCE_MS = 60_000
const CALL_EVERY_MS = 20
const PARTNER = 'partner.test'
/** Renewed at half of it. */
const SHORT_S = 20
const idOf = (path: string): string => `spiffe://${TRUST_DOMAIN}/${path}`

let parties: Parties
let spire: Spire
let partner: Spire
let controller: ControllerProcess
let workers: readonly WorkerProcess[]
let caller: X509Source
let pool: Pool
const entries = new Map<string, string>()

const settingsFor = (path: string) => ({ SPIFFE_ENDPOINT_SOCKET: spire.endpoint, CRANK_SVID: idOf(path) })
const changes = ({ log }: { log: ControllerProcess['log'] }): number =>
  log.filter(({ event }) => event === 'credentials_changed').length
const everybody = (): { log: ControllerProcess['log'] }[] => [controller, ...workers]

/** `crank` calls a worker through the controller, with the SVID of those settings. */
async function invoke(env: NodeJS.ProcessEnv): Promise<Finished> {
  const place = { CONTROLLER_URL: controller.origin, CRANK_CONTROLLER_ID: idOf('controller') }
  return crank(['invoke', 'invoke', 'hello_world', '--data', '{"message":"x"}'], { env: { ...place, ...env } })
}

/** A caller of its own: the exported source, and a pool that shows its SVID. */
async function greet(): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await pool.request(
    postJson('/route', {
      verb: 'invoke',
      capability: 'hello_world',
      payload: { message: 'x' },
    }) as Dispatcher.RequestOptions,
  )
  return { status: statusCode, text: await body.text() }
}

async function allChanged(times: number, work: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const before = everybody().map(changes)
  await work()
  const isDone = (): boolean => everybody().every((one, index) => changes(one) >= before[index]! + times)
  await until(`all have changed ${times} times`, isDone, PATIENCE_MS)
}

beforeAll(async () => {
  parties = await createParties()
  spire = await startSpire(TRUST_DOMAIN)
  partner = await startSpire(PARTNER)
  for (const path of ['controller', HELLO, STREAMING]) entries.set(path, await spire.register(path, { ttlS: SHORT_S }))
  const state = { CRANK_STATE_DIR: parties.dir, CRANK_HEARTBEAT_INTERVAL_MS: '500' }
  controller = await startControllerProcess({ ...state, ...settingsFor('controller') })
  const tlsEnv = () => Promise.resolve(settingsFor(HELLO))
  workers = [
    await startWorkerProcess({ ...parties, tlsEnv }, controller.origin, { instance: 'a' }),
    await startWorkerProcess({ ...parties, tlsEnv }, controller.origin, { instance: 'b' }),
  ]
  caller = await createX509Source({ endpoint: spire.endpoint, svid: idOf(STREAMING) })
  pool = new Pool(controller.origin, { connect: caller.connector(idOf('controller')) })
})
afterAll(async () => {
  await pool.destroy()
  caller.close()
  await Promise.all(workers.map(({ kill }) => kill()))
  await controller.stop('SIGKILL')
  await Promise.all([spire.close(), partner.close()])
  await parties.close()
})

/** Calls all the time while `work` runs; what failed. */
async function failuresWhile(work: () => Promise<void>): Promise<unknown[]> {
  const failures: unknown[] = []
  const over = new AbortController()
  const call = async (): Promise<void> => {
    const answer = await greet().catch((cause: unknown) => ({ status: 0, cause }))
    if (answer.status !== 200) failures.push(answer)
    await delay(CALL_EVERY_MS)
  }
  const calling = (async () => {
    while (!over.signal.aborted) await call()
  })()
  await work().finally(() => over.abort())
  await calling
  return failures
}

test('calls are answered; `crank spiffe fetch` shows what the agent gives', async () => {
  expect(await greet()).toMatchObject({ status: 200 })
  expect(await invoke(settingsFor(STREAMING))).toMatchObject({ code: 0 })
  const { stdout } = await crank(['spiffe', 'fetch', '-o', 'json'], { env: settingsFor(STREAMING) })
  const { svids } = JSON.parse(stdout) as { svids: { spiffe_id: string; faults: string[] }[] }
  expect(svids.map(({ spiffe_id }) => spiffe_id).sort()).toEqual(['controller', HELLO, STREAMING].map(idOf).sort())
  expect(svids.flatMap(({ faults }) => faults)).toEqual([])
})

test("SPIRE's own rotation fails no call", async () => {
  expect(await failuresWhile(() => allChanged(2))).toEqual([])
})

test('a new CA is taken over, and the old one goes, without a failed call', async () => {
  type Authority = { authority_id: string }
  const x509 = (...args: string[]) => spire.server('localauthority', 'x509', ...args)
  const anchors = (): string[] =>
    [...caller.current().bundles.values()].flat().map(({ fingerprint256 }) => fingerprint256)
  const before = anchors()
  const failures = await failuresWhile(async () => {
    const { prepared_authority: next } = (await x509('prepare')) as { prepared_authority: Authority }
    const { active } = (await x509('show')) as { active: Authority }
    await until('both CAs are trusted', () => anchors().length === 2, PATIENCE_MS)
    await x509('activate', '-authorityID', next.authority_id)
    await allChanged(1)
    await x509('taint', '-authorityID', active.authority_id)
    await allChanged(1)
    await x509('revoke', '-authorityID', active.authority_id)
    await until('the old CA is gone', () => anchors().length === 1, PATIENCE_MS)
    await allChanged(1)
  })
  expect(failures).toEqual([])
  expect(before).not.toContain(anchors()[0])
})

test('while the agent is away the SVIDs stay in use; when it is back they are renewed', async () => {
  const failures = await failuresWhile(async () => {
    await spire.stopAgent()
    const ready = async (): Promise<string> => (await fetch(`${controller.adminOrigin}/readyz`)).text()
    await until('readiness says so', async () => (await ready()).includes('UNAVAILABLE'), PATIENCE_MS)
    await allChanged(1, spire.startAgent)
  })
  expect(failures).toEqual([])
})

test('two trust domains with bundles of each other know each other; policy decides about the partner', async () => {
  await spire.trust(PARTNER, await partner.bundle())
  await partner.trust(TRUST_DOMAIN, await spire.bundle())
  await partner.register('worker/a', { federatesWith: [TRUST_DOMAIN] })
  const asPartner = {
    SPIFFE_ENDPOINT_SOCKET: partner.endpoint,
    CRANK_SVID: `spiffe://${PARTNER}/worker/a`,
    CRANK_TRUST_DOMAIN: PARTNER,
  }
  const says = async (): Promise<string> => {
    const { stdout, stderr } = await invoke(asPartner)
    return stdout + stderr
  }
  await expect.poll(says, { timeout: PATIENCE_MS }).toContain('"client_certificate_untrusted"')
  const id = entries.get('controller')!
  const selector = `unix:uid:${process.getuid!()}`
  await spire.server(
    ...['entry', 'update', '-entryID', id, '-parentID', idOf('host'), '-spiffeID', idOf('controller')],
    ...['-selector', selector, '-x509SVIDTTL', String(SHORT_S), '-dns', 'localhost'],
    ...['-federatesWith', `spiffe://${PARTNER}`],
  )
  await expect.poll(says, { timeout: PATIENCE_MS }).toContain('not authorized')
  expect(await greet()).toMatchObject({ status: 200 })
})

test('a worker whose entry is deleted keeps its SVID until it expires, and is not called after that', async () => {
  await spire.server('entry', 'delete', '-entryID', entries.get(HELLO)!)
  const isTold = (): boolean => workers.every(({ log }) => log.some(({ event }) => event === 'credentials_broken'))
  await until('the workers are told', isTold, PATIENCE_MS)
  expect(await greet()).toMatchObject({ status: 200 })
  await until('calls are refused', async () => (await greet()).status !== 200, PATIENCE_MS)
  await spire.register(HELLO, { ttlS: SHORT_S })
  await until('calls are answered', async () => (await greet()).status === 200, PATIENCE_MS)
})
