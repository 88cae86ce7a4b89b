// The restart of a controller with many workers. CRANK_TEST_WORKERS=1000 runs the full form, and prints its figures.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { cpuTimes } from '../../scripts/bench/cpu.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { groupsFor, startSwarm, swarmManifests, type Swarm } from '../fixtures/swarm.ts'
import { until } from '../fixtures/until.ts'

const COUNT = Number(process.env['CRANK_TEST_WORKERS'] ?? 100)
const isFull = process.env['CRANK_TEST_WORKERS'] !== undefined
const INTERVAL_MS = 10_000
vi.setConfig({ testTimeout: 300_000, hookTimeout: 900_000 })

let parties: Parties
let policy: PolicyDir
let env: NodeJS.ProcessEnv
let controller: ControllerProcess
let swarm: Swarm
beforeAll(async () => {
  parties = await createParties()
  policy = await copyPolicies({ 'data/worker_manifests.json': await swarmManifests(COUNT) })
  const places = { CRANK_STATE_DIR: parties.dir, CRANK_POLICY_DIR: policy.dir }
  env = { ...(await parties.tlsEnv('controller')), ...places, LOG_LEVEL: 'info' }
  controller = await startControllerProcess(env)
  swarm = await startSwarm(parties, controller.origin, COUNT)
})
afterAll(async () => {
  await swarm.close()
  await controller.stop('SIGKILL')
  await policy[Symbol.asyncDispose]()
  await parties.close()
})

async function live(): Promise<number> {
  const text = await (await fetch(`${controller.adminOrigin}/metrics`)).text()
  return Number(/^controller_registry_workers\{state="live"\} (\d+)/m.exec(text)?.[1])
}

/** One call of each capability: how many were answered in the name of another worker, and how many were not answered. */
async function callEachGroup(): Promise<{ misnamed: number; failed: number }> {
  const counts = { misnamed: 0, failed: 0 }
  for (let group = 0; group < groupsFor(COUNT); group++) {
    const call = { verb: 'invoke', capability: `swarm_${group}`, payload: {} }
    const answer: Pick<Answer, 'status' | 'headers' | 'body'> = await parties
      .request(controller.origin, STREAMING, postJson('/route', call))
      .catch((cause: unknown) => ({ status: 0, headers: {}, body: cause }))
    const { status, body, headers } = answer
    const named = String(headers['x-worker-id'])
    if (status !== 200) counts.failed++
    else if (!named.startsWith(`worker-swarm-${group}.`) || (body as { workerId: string }).workerId !== named)
      counts.misnamed++
  }
  return counts
}

test.each([
  ['SIGTERM', true],
  ['SIGKILL', true],
  ['SIGKILL', false],
] as const)(
  'after %s with the registry on disk: %s, all workers are routable again, and none wrongly',
  async (signal, withHint) => {
    await until('all are live', async () => (await live()) === COUNT, 180_000)
    await delay(isFull ? INTERVAL_MS : 300)
    await controller.stop(signal)
    if (!withHint) await rm(join(parties.dir, 'registry.json'))
    controller = await startControllerProcess({ ...env, CRANK_PORT: new URL(controller.origin).port })
    const pids = { controller: controller.pid }
    const [cpu] = cpuTimes(pids).values()
    const startMs = performance.now()
    const samples: string[] = []
    let misnamed = 0
    let inTime = 0
    for (;;) {
      const now = await live()
      const afterMs = performance.now() - startMs
      samples.push(`${(afterMs / 1000).toFixed(1)} s: ${now}`)
      if (afterMs <= INTERVAL_MS) inTime = now
      misnamed += (await callEachGroup()).misnamed
      if (isFull ? afterMs > INTERVAL_MS && now === COUNT : now === COUNT) break
      if (afterMs > 6 * INTERVAL_MS) break
      await delay(500)
    }
    const seconds = (performance.now() - startMs) / 1000
    const [cpuEnd] = cpuTimes(pids).values()
    if (isFull) {
      const share = ((cpuEnd! - cpu!) / 1e6 / seconds) * 100
      const found = `${signal} hint=${withHint}: ${inTime}/${COUNT} within ${INTERVAL_MS} ms; CPU ${share.toFixed(0)} % of a core over ${seconds.toFixed(1)} s`
      process.stdout.write(`${found}\n  ${samples.join(', ')}\n`)
    }
    expect(await live()).toBe(COUNT)
    expect(misnamed).toBe(0)
    expect(swarm.misrouted()).toBe(0)
    expect(await callEachGroup()).toEqual({ misnamed: 0, failed: 0 })
  },
)
