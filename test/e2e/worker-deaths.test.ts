// Worker processes that are killed and stopped under load: how many calls fail, for how long, and who has a worker id.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { WorkerEntry } from '../../src/core/wire.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { until } from '../fixtures/until.ts'
import { startWorkerProcess, type WorkerProcess } from '../fixtures/worker-process.ts'

const CALLERS = 16

let mesh: Mesh
const workers: WorkerProcess[] = []
beforeEach(async () => {
  mesh = await startMesh({ env: { CRANK_HEARTBEAT_INTERVAL_MS: '1000' } })
})
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()))
  await mesh.close()
})

async function start(instance?: string): Promise<WorkerProcess> {
  const worker = await startWorkerProcess(mesh, mesh.origin, instance === undefined ? {} : { instance })
  workers.push(worker)
  return worker
}

const call = (): Promise<Answer> =>
  mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: { message: 'hi' } })

async function entries(): Promise<WorkerEntry[]> {
  return (JSON.parse((await mesh.admin('/workers')).text) as { workers: WorkerEntry[] }).workers
}

type Ended = { readonly startMs: number; readonly endMs: number; readonly status: number; readonly worker: unknown }

/** Calls without a pause from many callers, until the returned function is called. */
function startLoad(): () => Promise<Ended[]> {
  const ended: Ended[] = []
  let isOver = false
  const caller = async (): Promise<void> => {
    while (!isOver) {
      const startMs = performance.now()
      const { status, headers } = await call()
      ended.push({ startMs, endMs: performance.now(), status, worker: headers['x-worker-id'] })
    }
  }
  const callers = Array.from({ length: CALLERS }, caller)
  return async () => {
    isOver = true
    await Promise.all(callers)
    return ended
  }
}

test('one of three is killed under load: only calls that it had fail, and none that begins later', async () => {
  const [first] = [await start('a'), await start('b'), await start('c')]
  const endLoad = startLoad()
  await delay(1500)
  const killedMs = performance.now()
  await first.kill()
  await delay(3000)
  const ended = await endLoad()
  const failed = ended.filter(({ status }) => status !== 200)
  const lastMs = failed.reduce((last, { endMs }) => Math.max(last, endMs), killedMs)
  process.stdout.write(
    `killed: ${failed.length} of ${ended.length} calls failed, the last ${Math.round(lastMs - killedMs)} ms later\n`,
  )
  expect(ended.some(({ worker }) => worker === first.workerId)).toBe(true)
  // At most what was in flight when it died.
  expect(failed.length).toBeLessThanOrEqual(CALLERS)
  // Generous for a busy machine: before, it was 25 s.
  expect(lastMs - killedMs).toBeLessThan(1000)
  for (const { startMs } of failed) expect(startMs).toBeLessThan(killedMs + 500)
  const outcomes = (await mesh.audit()).filter(({ event, status }) => event === 'route_outcome' && status !== 200)
  for (const { outcome, worker_id } of outcomes) expect([outcome, worker_id]).toEqual(['unknown', first.workerId])
  expect((await entries()).find(({ worker_id }) => worker_id === first.workerId)?.state).toMatch(/^(suspect|stale)$/)
}, 120_000)

test('all are stopped and continue: they are tried anyway, and calls succeed again at once', async () => {
  const [a, b] = [await start('a'), await start('b')]
  for (let i = 0; i < 10; i++) await call()
  a.child.kill('SIGSTOP')
  b.child.kill('SIGSTOP')
  const waiting = call()
  await delay(500)
  a.child.kill('SIGCONT')
  b.child.kill('SIGCONT')
  expect(await waiting).toMatchObject({ status: 200 })
  expect(await call()).toMatchObject({ status: 200 })
}, 120_000)

test('an instance that was stopped and replaced gets neither calls nor its id back while the new one is there', async () => {
  const old = await start()
  const [before] = await entries()
  old.child.kill('SIGSTOP')
  const next = await start()
  const [replaced] = await entries()
  expect(replaced!.worker_url).not.toBe(before!.worker_url)
  old.child.kill('SIGCONT')
  const told = (event: string) => old.log.filter((line) => line.event === event)
  await until('the old instance has lost its lease', () => told('worker_registration_lost').length > 0, 30_000)
  await until('its new registration is refused', () => told('worker_registration_refused').length > 0, 30_000)
  expect(told('worker_registration_refused')[0]).toMatchObject({
    reason: expect.stringContaining('a newer instance has the worker id worker-hello-world') as string,
  })
  for (let i = 0; i < 20; i++) expect(await call()).toMatchObject({ status: 200 })
  // Several heartbeats later nothing has changed: the two do not take the id from each other.
  await delay(3000)
  expect(await entries()).toMatchObject([{ worker_url: replaced!.worker_url, state: 'live' }])
  expect(next.log.filter(({ event }) => event === 'worker_registration_lost')).toEqual([])
  expect(told('worker_registered')).toHaveLength(1)
}, 120_000)
