// A controller that the system gives little memory: it refuses large bodies first, then every call, and serves again by itself.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { readAuditLines } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const PRELOAD = join(import.meta.dirname, '../fixtures/memory-preload.ts')

let parties: Parties
let controller: ControllerProcess
let worker: FakeWorker
beforeAll(async () => {
  parties = await createParties()
  await use(500)
  controller = await startControllerProcess({
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: parties.dir,
    NODE_OPTIONS: `--import=${PRELOAD}`,
    TEST_MEMORY_FILE: join(parties.dir, 'memory'),
  })
  worker = await startFakeWorker({ ...parties, request: parties.request.bind(undefined, controller.origin) }, greets)
  expect((await worker.register()).status).toBe(200)
})
afterAll(async () => {
  await controller.stop('SIGTERM')
  await worker.close()
  await parties.close()
})

/** From now on so many of a thousand bytes are used. */
const use = (thousandths: number): Promise<void> => writeFile(join(parties.dir, 'memory'), String(thousandths))

const call = (bytes: number): Promise<Answer> =>
  parties.request(
    controller.origin,
    STREAMING,
    postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: { message: 'x'.repeat(bytes) } }),
  )
const refusedForMemory = async (): Promise<number> => {
  const text = await (await fetch(`${controller.adminOrigin}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith('controller_admission_refused_total{reason="memory"'))
  return lines.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)
}

test('large bodies are refused first, then every call; what is refused is counted and recorded', async () => {
  const [small, large] = [10, 100_000]
  expect((await call(large)).status).toBe(200)

  await use(900)
  await until('large bodies are refused', async () => (await call(large)).status === 503)
  const refused = await call(large)
  expect(refused).toMatchObject({ status: 503, body: { error: 'overloaded' } })
  expect(refused.body.reason).toContain('memory')
  expect(refused.headers['retry-after']).toBe('1')
  expect((await call(small)).status).toBe(200)

  await use(970)
  await until('every call is refused', async () => (await call(small)).status === 503)

  await use(500)
  await until('calls are served again', async () => (await call(large)).status === 200)
  expect(await refusedForMemory()).toBeGreaterThanOrEqual(3)
  const records = await readAuditLines(parties.auditLog)
  expect(
    records.filter(({ event, reason }) => event === 'request_refused' && reason === refused.body.reason),
  ).not.toEqual([])
})
