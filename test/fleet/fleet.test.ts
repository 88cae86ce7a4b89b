// The loss of any one process or machine costs no call: each kind is killed and stopped in turn, under load.
// `CRANK_TEST_SEED` repeats the choices of a run.
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyLog } from '../fixtures/audit-log.ts'
import { storeLeader } from '../fixtures/nats.ts'
import { seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'
import { callAll, type Told } from './callers.ts'
import { openFleet, WORKERS, type Fleet } from './fleet.ts'

const seed = Number(process.env['CRANK_TEST_SEED'] ?? randomInt(2 ** 31))
const random = seeded(seed)
const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
/** How long a fault lasts. */
const FAULT_MS = 6000
const CALLS = 3000
const rows: string[] = []
/**
 * When processes were killed, and when they were gone: the kernel frees the memory of a process before it closes its sockets, and
 * until then they take what is sent. A call with a key may learn 20 s later that nobody knows what was executed.
 */
const kills: { readonly startMs: number; readonly goneMs: number }[] = []

let fleet: Fleet
beforeAll(async () => {
  fleet = await openFleet(seed)
}, 240_000)
afterAll(async () => {
  process.stdout.write(
    `\nseed ${seed}\nfault | calls | failed | in flight at the kill | longest call, ms | views equal after, ms\n`,
  )
  process.stdout.write(`${rows.join('\n')}\n`)
  await fleet.close()
})

type Fault = {
  /**
   * Brings it about, and resolves when it has ended. `gone`: a process was killed, and is gone now. What came to it until then
   * may have been done, and is not done again.
   */
  readonly bring: (gone: () => void) => Promise<void>
}

/** Brings a fault about and returns the calls that began or ended meanwhile, and until all controllers agree again. */
async function during(what: string, { bring }: Fault): Promise<void> {
  const { told } = fleet.callers
  const startMs = performance.now()
  await bring(() => kills.push({ startMs, goneMs: performance.now() }))
  const endMs = performance.now()
  const equalMs = await fleet.untilEqual()
  // The calls that were waiting come to their end.
  await delay(1000)
  const calls = told.filter((one) => one.endMs >= startMs)
  const isCut = (one: Told): boolean =>
    one.status !== 200 && kills.some((kill) => one.startMs <= kill.goneMs && one.endMs >= kill.startMs)
  const failed = calls.filter((one) => one.status !== 200 && !isCut(one))
  const cut = calls.filter(isCut)
  const longest = Math.round(Math.max(...calls.map((one) => one.endMs - one.startMs)))
  rows.push([what, calls.length, failed.length, cut.length, longest, equalMs].join(' | '))
  expect(failed.slice(0, 3), what).toEqual([])
  expect(cut.length).toBeLessThanOrEqual(6)
  expect(calls.length).toBeGreaterThan(10)
  expect(endMs).toBeGreaterThan(startMs)
}

describe(`a fleet under load, with the seed ${seed}`, () => {
  test('serves without a fault', async () => {
    await during('none', { bring: () => delay(3000) })
  })

  test('loses no call when a controller is restarted, one after the other', async () => {
    for (const controller of fleet.controllers) {
      await during(`${controller.name} restarted`, {
        async bring() {
          await controller.process().stop('SIGTERM')
          await controller.start()
        },
      })
    }
  })

  test('loses no call when a controller is killed, but those that it was about', async () => {
    const controller = pick(fleet.controllers)
    await during(`SIGKILL of ${controller.name}`, {
      async bring(gone) {
        await controller.process().stop('SIGKILL')
        gone()
        await delay(FAULT_MS)
        await controller.start()
      },
    })
  })

  test('loses no call when a controller is stopped for a while', async () => {
    const controller = pick(fleet.controllers)
    await during(`SIGSTOP of ${controller.name}`, {
      async bring() {
        controller.process().child.kill('SIGSTOP')
        await delay(FAULT_MS)
        controller.process().child.kill('SIGCONT')
      },
    })
  })

  test.each(['SIGKILL', 'SIGSTOP'] as const)('loses no call by %s of the NATS server that leads', async (signal) => {
    const leader = await storeLeader(fleet.parties, fleet.nats)
    await during(`${signal} of the NATS leader ${leader.name}`, {
      async bring() {
        await leader.signal(signal)
        await delay(FAULT_MS + 4000)
        if (signal === 'SIGKILL') await leader.start()
        else await leader.signal('SIGCONT')
      },
    })
  })

  test.each(['SIGKILL', 'SIGSTOP'] as const)('loses no call by %s of a NATS server that follows', async (signal) => {
    const leader = await storeLeader(fleet.parties, fleet.nats)
    const follower = pick(fleet.nats.servers.filter((server) => server !== leader))
    await during(`${signal} of the NATS follower ${follower.name}`, {
      async bring() {
        await follower.signal(signal)
        await delay(FAULT_MS)
        if (signal === 'SIGKILL') await follower.start()
        else await follower.signal('SIGCONT')
      },
    })
  })

  test('loses no call when a controller is cut off from the store', async () => {
    const controller = pick(fleet.controllers)
    await during(`${controller.name} cut off from NATS`, {
      async bring() {
        await Promise.all(controller.links.map((link) => link.set({ silence: true })))
        // Longer than a worker of which nobody hears stays registered.
        await delay(15_000)
        await Promise.all(controller.links.map((link) => link.set({})))
      },
    })
  })

  test('loses no call when a NATS server is cut off: controllers that use it go to another one', async () => {
    const server = pick(fleet.nats.servers)
    await during(`${server.name} cut off from the other NATS servers`, {
      async bring() {
        const heal = await fleet.isolate(server)
        await delay(FAULT_MS)
        await until('all controllers have the store', fleet.areLinked, 30_000)
        await heal()
      },
    })
  })

  test('loses no call when a controller and a NATS server are cut off from all the others', async () => {
    await during('a split: controller-1 and n1 on one side', {
      async bring() {
        const heal = await fleet.split()
        await delay(15_000)
        await heal()
      },
    })
  })

  test('goes on without any store; only calls with a key wait', async () => {
    await during('all NATS servers stopped', {
      async bring() {
        await Promise.all(fleet.nats.servers.map((server) => server.signal('SIGSTOP')))
        await delay(FAULT_MS)
        await Promise.all(fleet.nats.servers.map((server) => server.signal('SIGCONT')))
      },
    })
  })

  test('loses no call when workers are stopped for a while', async () => {
    const swarm = pick(fleet.swarms)
    await during('SIGSTOP of 20 workers', {
      async bring() {
        swarm.child().kill('SIGSTOP')
        await delay(FAULT_MS)
        swarm.child().kill('SIGCONT')
      },
    })
  })

  test('loses at most the calls that killed workers were about', async () => {
    const swarm = pick(fleet.swarms)
    const before = await swarm.tally()
    await during('SIGKILL of 20 workers', {
      async bring(gone) {
        swarm.child().kill('SIGKILL')
        await once(swarm.child(), 'exit')
        gone()
        await fleet.untilEqual((WORKERS * 2) / 3)
        await swarm.start()
      },
    })
    expect(before.calls).toBeGreaterThan(0)
  })

  test.each([1, 2, 3])('answers calls over %i controllers, and says what each costs', async (count) => {
    const used = fleet.controllers.slice(0, count)
    const before = await Promise.all(used.map(fleet.cpuMs))
    await callAll(fleet.parties, fleet.urls.slice(0, count), CALLS)
    const after = await Promise.all(used.map(fleet.cpuMs))
    const cpuMs = after.reduce((sum, one, at) => sum + one - before[at]!, 0)
    rows.push(
      `${CALLS} calls over ${count} controllers: ${(cpuMs / CALLS).toFixed(2)} ms of CPU a call, in all of them`,
    )
    expect(cpuMs).toBeGreaterThan(0)
  })

  test('has executed no key twice, called no wrong worker, and every chain is whole', async () => {
    await fleet.callers.close()
    const tallies = await Promise.all(fleet.swarms.map((one) => one.tally()))
    const executed = new Map<string, number>()
    for (const [key, times] of tallies.flatMap(({ keys }) => keys)) executed.set(key, (executed.get(key) ?? 0) + times)
    expect([...executed].filter(([, times]) => times > 1)).toEqual([])
    expect(executed.size).toBeGreaterThan(100)
    expect(tallies.map(({ misrouted }) => misrouted)).toEqual([0, 0, 0])
    await Promise.all(fleet.controllers.map((one) => one.process().stop('SIGTERM')))
    for (const { auditLog, name } of fleet.controllers) expect((await verifyLog(auditLog)).ok, name).toBe(true)
  })
})
