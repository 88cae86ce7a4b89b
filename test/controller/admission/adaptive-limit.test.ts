// The control law against a simulated controller: one thread, which prepares calls in turn, with a wait for a disk.
import { describe, expect, test } from 'vitest'
import { AdaptiveLimit, FLOOR } from '../../../src/controller/admission/adaptive-limit.ts'

type Machine = {
  /** Time of the one thread per call, ms. */
  workMs: number
  /** Wait per call in which the thread is free, ms. */
  waitMs: number
}

/** Calls in flight, in order of their end; there are always more that wait. */
function simulate(machine: Machine, { offered = Number.POSITIVE_INFINITY }: { offered?: number } = {}) {
  let nowMs = 0
  let threadFreeMs = 0
  const limit = new AdaptiveLimit({ monotonic: () => nowMs })
  const inFlight: { startedMs: number; endMs: number; among: number }[] = []

  function fill(): void {
    const room = Math.min(limit.value, offered)
    while (inFlight.length < room) {
      threadFreeMs = Math.max(threadFreeMs, nowMs) + machine.workMs
      inFlight.push({ startedMs: nowMs, endMs: threadFreeMs + machine.waitMs, among: inFlight.length + 1 })
    }
    if (offered > limit.value) limit.reached()
  }
  return {
    limit,
    machine,
    /** Runs for a time; resolves to the calls that were prepared, and their mean latency. */
    run: (forMs: number) => {
      const endMs = nowMs + forMs
      let count = 0
      let sumMs = 0
      while (nowMs < endMs) {
        fill()
        const next = inFlight.shift()!
        nowMs = Math.max(nowMs, next.endMs)
        count += 1
        sumMs += nowMs - next.startedMs
        limit.sample(nowMs - next.startedMs, next.among)
      }
      return { perSecond: (count * 1000) / forMs, meanMs: sumMs / count }
    },
  }
}

describe('under lasting overload', () => {
  for (const [name, machine] of Object.entries<Machine>({
    'a fast machine': { workMs: 0.1, waitMs: 0.5 },
    'a slow machine': { workMs: 2, waitMs: 3 },
    'a slow disk': { workMs: 0.2, waitMs: 20 },
    'a disk in memory': { workMs: 0.2, waitMs: 0 },
  })) {
    test(`the throughput of ${name} stays at its peak, and the latency near the best`, () => {
      const simulated = simulate({ ...machine })
      simulated.run(20_000)
      const { perSecond, meanMs } = simulated.run(60_000)
      const peak = 1000 / machine.workMs
      const best = machine.workMs + machine.waitMs
      expect(perSecond).toBeGreaterThan(peak * 0.9)
      // The floor itself may be a queue, where the thread does all the work.
      expect(meanMs).toBeLessThan(Math.max(4 * best, 1.5 * FLOOR * machine.workMs))
    })
  }
})

test('the limit does not drift upwards, however long the overload lasts', () => {
  const simulated = simulate({ workMs: 0.2, waitMs: 2 })
  simulated.run(30_000)
  const early = simulated.limit.value
  simulated.run(600_000)
  expect(simulated.limit.value).toBeLessThan(early * 2)
})

test('follows a machine that becomes slower, and recovers', () => {
  const { machine, run, limit } = simulate({ workMs: 0.2, waitMs: 1 })
  const before = run(30_000)
  machine.workMs = 1
  run(30_000)
  const during = run(30_000)
  expect(during.perSecond).toBeGreaterThan(900)
  expect(during.meanMs).toBeLessThan(FLOOR * 3)
  machine.workMs = 0.2
  run(30_000)
  const after = run(30_000)
  expect(after.perSecond).toBeGreaterThan(before.perSecond * 0.9)
  expect(limit.value).toBeGreaterThanOrEqual(FLOOR)
})

test('a stall of the event loop costs little of the limit', () => {
  const { run, machine, limit } = simulate({ workMs: 0.1, waitMs: 2 })
  run(30_000)
  const before = limit.value
  machine.workMs = 50
  run(500)
  machine.workMs = 0.1
  run(5000)
  expect(limit.value).toBeGreaterThanOrEqual(Math.floor(before / 2))
})

test('few slow calls below the limit change nothing', () => {
  const { run, limit } = simulate({ workMs: 0.1, waitMs: 100 }, { offered: 4 })
  const before = limit.value
  run(60_000)
  expect(limit.value).toBe(before)
  expect(limit.latency.baseMs).toBeGreaterThan(99)
})

test('is never below the floor', () => {
  const { run, limit, machine } = simulate({ workMs: 0.1, waitMs: 0 })
  run(5000)
  machine.workMs = 5
  run(4000)
  expect(limit.value).toBe(FLOOR)
})

test('a probe ends, even if no call is decided meanwhile', () => {
  let nowMs = 0
  const limit = new AdaptiveLimit({ monotonic: () => nowMs })
  const offer = (): void => {
    nowMs += 10
    limit.reached()
    limit.sample(1, 100)
  }
  for (let calls = 0; limit.value > FLOOR; calls++) {
    offer()
    expect(calls).toBeLessThan(10_000)
  }
  const probing = limit.value
  for (let calls = 0; calls < 102; calls++) offer()
  expect(limit.value).toBeGreaterThan(probing)
})
