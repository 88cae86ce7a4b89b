// When the store of idempotency keys cannot be used: calls with a key are refused, all others are served, and it comes back.
import { execFileSync } from 'node:child_process'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { afterEach, expect, test } from 'vitest'
import { startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

const ANSWER_BYTES = 100_000
/** Enough for the start, and for the audit log; not for many answers. */
const FILE_LIMIT = 600_000

let parties: Parties
let worker: FakeWorker
let controller: ControllerProcess

async function start(prefix: string[] = []): Promise<void> {
  const env = { CRANK_STATE_DIR: parties.dir, CRANK_HEARTBEAT_INTERVAL_MS: '60000', CRANK_LAME_DUCK_MS: '0' }
  controller = await startControllerProcess({ ...(await parties.tlsEnv('controller')), ...env }, { prefix })
  const client = { ...parties, request: parties.request.bind(undefined, controller.origin) }
  worker = await startFakeWorker(client, (_request, response) => response.end('x'.repeat(ANSWER_BYTES)))
  expect((await worker.register()).status).toBe(200)
}
afterEach(async () => {
  await controller.stop('SIGTERM')
  await worker.close()
  await parties.close()
})

function call(key?: string): Promise<Answer> {
  const body = { verb: 'invoke', capability: 'hello_world', payload: {} }
  const headers = key === undefined ? {} : { 'idempotency-key': key }
  return parties.request(controller.origin, STREAMING, postJson('/route', body, headers))
}

async function unavailableGauge(): Promise<string | undefined> {
  const text = await (await fetch(`${controller.adminOrigin}/metrics`)).text()
  return /^controller_idempotency_unavailable (\d)$/m.exec(text)?.[1]
}

const readyStatus = async (): Promise<number> => (await fetch(`${controller.adminOrigin}/readyz`)).status
const logged = (name: string) => controller.log.filter(({ event }) => event === name)

async function expectAway(answer: Answer): Promise<void> {
  expect(answer).toMatchObject({
    status: 503,
    headers: { 'retry-after': '1' },
    body: { error: 'idempotency_unavailable' },
  })
  expect(answer.text).not.toContain(parties.dir)
  expect((await call()).status).toBe(200)
  expect(await readyStatus()).toBe(200)
  expect(await unavailableGauge()).toBe('1')
}

test('a damaged file refuses keys, is left as it is, and is replaced once it is moved away', async () => {
  parties = await createParties()
  const file = `${parties.dir}/idempotency.sqlite`
  await writeFile(file, 'not a store')
  await start()
  const refused = await call('k')
  await expectAway(refused)
  expect(worker.seen).toHaveLength(1)
  expect(await readFile(file, 'utf8')).toBe('not a store')
  expect(logged('idempotency_unavailable')).toHaveLength(1)
  expect(String(logged('idempotency_unavailable')[0]?.['reason'])).toContain(
    'not a store of idempotency keys; move it away',
  )
  await rename(file, `${file}.aside`)
  await until('keys are taken again', async () => (await call('k')).status === 200)
  expect(await unavailableGauge()).toBe('0')
  expect(logged('idempotency_recovered')).toHaveLength(1)
  const executed = worker.seen.filter(({ headers }) => headers['idempotency-key'] === 'k')
  expect(executed).toHaveLength(1)
})

test('a full disk refuses keys, loses no answer that was stored, and is over when there is room', async () => {
  parties = await createParties()
  await start(['prlimit', `--fsize=${FILE_LIMIT}:unlimited`])
  const told = new Map<string, Answer>()
  let refused: Answer | undefined
  for (let i = 0; refused === undefined; i++) {
    const answer = await call(`k-${i}`)
    if (answer.status === 200) told.set(`k-${i}`, answer)
    else refused = answer
  }
  await expectAway(refused)
  execFileSync('prlimit', [`--fsize=unlimited`, `--pid=${controller.pid}`])
  await until('keys are taken again', async () => (await call('late')).status === 200)
  for (const [key, first] of told) {
    const again = await call(key)
    // The answer that the full disk did not take was given, but could not be stored.
    if (again.status === 409) expect(again.body).toMatchObject({ error: 'idempotency_outcome_unknown' })
    else expect(again).toMatchObject({ status: 200, text: first.text, headers: { 'idempotent-replayed': 'true' } })
  }
  const keys = worker.seen.map(({ headers }) => headers['idempotency-key']).filter((key) => key !== undefined)
  expect(new Set(keys).size).toBe(keys.length)
  expect(logged('idempotency_recovered')).toHaveLength(1)
})
