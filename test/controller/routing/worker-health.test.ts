// The states of workers by a fake clock: against a plain model, and the rules one by one.
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { isOpen } from '../../../src/controller/routing/condition.ts'
import type { WorkerInstance } from '../../../src/controller/routing/registry.ts'
import { WorkerHealth } from '../../../src/controller/routing/worker-health.ts'
import type { WorkerFault } from '../../../src/core/worker-health.ts'
import { groupOf, offeredBy, offerOf } from '../../fixtures/offered.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** `healthy`: what a worker answers to its probe. */
function setUp(count: number, { random = () => 0.5 } = {}) {
  const workers = Array.from({ length: count }, (_, at) => offeredBy(`w${at}`))
  const healthy = new Map<WorkerInstance, boolean>()
  const changes: string[] = []
  const probed: string[] = []
  const monotonic = () => Date.now()
  const health = new WorkerHealth({
    groupOf: () => groupOf(workers),
    probe: (worker) => {
      probed.push(worker.workerId)
      return Promise.resolve(healthy.get(worker) ?? false)
    },
    onChange: ({ worker, from, cause }) =>
      changes.push(`${worker.workerId}: ${from} -> ${worker.condition.state} (${cause})`),
    monotonic,
    random,
  })
  const end = (worker: WorkerInstance, fault?: WorkerFault, tookMs = 0) =>
    health.ended(offerOf(worker), fault, monotonic() - tookMs)
  const fail = (worker: WorkerInstance, fault: WorkerFault, times: number) => {
    for (let i = 0; i < times; i++) end(worker, fault, fault === 'timeout' ? 1000 : 0)
  }
  return { workers, healthy, changes, probed, health, end, fail }
}

const FAILURES_TO_EJECT = 5

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const stateOf = ({ condition }: WorkerInstance) => condition.state

describe('a worker whose connection fails', () => {
  test.each(['unreachable', 'reset'] as const)(
    'is suspect at once (%s), and back when it answers a probe',
    async (fault) => {
      const { workers, healthy, changes, probed, end } = setUp(2)
      const [a] = workers as [WorkerInstance]
      end(a, fault)
      expect([stateOf(a), isOpen(a), isOpen(workers[1]!)]).toEqual(['suspect', false, true])
      await pass(250)
      expect([stateOf(a), probed]).toEqual(['suspect', ['w0']])
      healthy.set(a, true)
      await pass(600)
      expect([stateOf(a), isOpen(a)]).toEqual(['live', true])
      expect(changes).toEqual([`w0: live -> suspect (${fault})`, 'w0: suspect -> live (probe_answered)'])
      await pass(60_000)
      expect(probed).toHaveLength(2)
    },
  )

  test('is suspect also as the only one: the choice then takes it anyway', () => {
    const { workers, end } = setUp(1)
    end(workers[0]!, 'unreachable')
    expect(stateOf(workers[0]!)).toBe('suspect')
  })

  test('is probed at growing intervals, every 5 s at last', async () => {
    const { workers, probed, end } = setUp(2)
    end(workers[0]!, 'unreachable')
    await pass(200 + 400 + 800 + 1600 + 3200)
    expect(probed).toHaveLength(5)
    await pass(10_000)
    expect(probed).toHaveLength(7)
  })

  test('is back when a call that began later succeeds, not by an older one', async () => {
    const { workers, changes, probed, end } = setUp(1)
    const [a] = workers as [WorkerInstance]
    await pass(1000)
    end(a, 'reset')
    end(a, undefined, 500)
    expect(stateOf(a)).toBe('suspect')
    end(a)
    expect(changes).toEqual(['w0: live -> suspect (reset)', 'w0: suspect -> live (call_answered)'])
    await pass(60_000)
    expect(probed).toEqual([])
  })

  test('is not made suspect again by attempts that began before', async () => {
    const { workers, healthy, changes, end } = setUp(2)
    const [a] = workers as [WorkerInstance]
    healthy.set(a, true)
    await pass(1000)
    end(a, 'reset')
    await pass(200)
    end(a, 'reset', 900)
    expect(stateOf(a)).toBe('live')
    expect(changes).toHaveLength(2)
  })
})

describe('a worker that fails again and again', () => {
  test.each(['timeout', 'answer'] as const)('is ejected after the fifth %s in a row, not before', (fault) => {
    const { workers, end, fail } = setUp(2)
    const [a] = workers as [WorkerInstance]
    fail(a, fault, FAILURES_TO_EJECT - 1)
    end(a)
    fail(a, fault, FAILURES_TO_EJECT - 1)
    expect(stateOf(a)).toBe('live')
    fail(a, fault, 1)
    expect([stateOf(a), a.condition.cause, isOpen(a)]).toEqual(['ejected', fault, false])
  })

  test('is half-open after its time and its probe, and live after one good call', async () => {
    const { workers, healthy, changes, end, fail } = setUp(2)
    const [a] = workers as [WorkerInstance]
    healthy.set(a, true)
    fail(a, 'answer', 5)
    await pass(999)
    expect(stateOf(a)).toBe('ejected')
    await pass(1)
    expect([stateOf(a), isOpen(a)]).toEqual(['half_open', true])
    offerOf(a).take()
    expect(isOpen(a)).toBe(false)
    end(a)
    offerOf(a).release()
    expect([stateOf(a), isOpen(a)]).toEqual(['live', true])
    expect(changes.map((line) => line.slice(4))).toEqual([
      'live -> ejected (answer)',
      'ejected -> half_open (probe_answered)',
      'half_open -> live (call_answered)',
    ])
  })

  test('rests twice as long each time, a minute at most, and begins at a second after a good minute', async () => {
    const { workers, healthy, end, fail } = setUp(2)
    const [a] = workers as [WorkerInstance]
    healthy.set(a, true)
    fail(a, 'answer', 5)
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      await pass(seconds * 1000 - 1)
      expect(stateOf(a)).toBe('ejected')
      await pass(1)
      expect(stateOf(a)).toBe('half_open')
      end(a, 'answer')
    }
    await pass(60_000)
    end(a)
    await pass(60_001)
    fail(a, 'answer', 5)
    await pass(1000)
    expect(stateOf(a)).toBe('half_open')
  })

  test('rests longer while it does not answer its probe', async () => {
    const { workers, healthy, probed, fail } = setUp(2)
    const [a] = workers as [WorkerInstance]
    fail(a, 'answer', 5)
    await pass(1000 + 2000)
    expect([stateOf(a), probed.length]).toEqual(['ejected', 2])
    healthy.set(a, true)
    await pass(4000)
    expect(stateOf(a)).toBe('half_open')
  })

  test('stays when a caller waited less than a second, or less than the work takes', () => {
    const { workers, end } = setUp(2)
    const [a] = workers as [WorkerInstance]
    for (let i = 0; i < 20; i++) end(a, 'timeout', 999)
    expect(a.condition.failures).toBe(0)
    end(a, 'timeout', 1000)
    expect(a.condition.failures).toBe(1)
  })
})

describe('how many are ejected', () => {
  test.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [9, 4],
  ])('of %i providers that all fail: %i', (count, ejected) => {
    const { workers, fail } = setUp(count)
    for (const worker of workers) fail(worker, 'answer', 20)
    expect(workers.filter((worker) => stateOf(worker) === 'ejected')).toHaveLength(ejected)
  })
})

test('a worker that is no longer registered is not probed, and its late failures count for nothing', async () => {
  const { workers, probed, health, changes, end } = setUp(2)
  const [a, b] = workers as [WorkerInstance, WorkerInstance]
  end(a, 'unreachable')
  health.forget(a)
  b.isListed = false
  end(b, 'reset')
  await pass(60_000)
  expect([probed, changes]).toEqual([[], ['w0: live -> suspect (unreachable)']])
})

describe('whatever happens', () => {
  type Event = {
    readonly at: number
    readonly kind: 'ok' | WorkerFault | 'pass'
    readonly ms: number
    readonly up: boolean
  }
  const event: fc.Arbitrary<Event> = fc.record({
    at: fc.nat({ max: 5 }),
    kind: fc.constantFrom('ok', 'unreachable', 'reset', 'timeout', 'answer', 'pass'),
    ms: fc.integer({ min: 1, max: 8000 }),
    up: fc.boolean(),
  })

  test('at most half are ejected, only a lost connection makes suspect, and with all up all come back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(event, { maxLength: 80 }), async (count, events) => {
        vi.setSystemTime(0)
        vi.clearAllTimers()
        const { workers, healthy, changes, health, end } = setUp(count)
        const inARow = workers.map(() => 0)
        for (const { at, kind, ms, up } of events) {
          const index = at % count
          const worker = workers[index]!
          healthy.set(worker, up)
          await pass(ms)
          const before = stateOf(worker)
          if (kind === 'pass') continue
          end(worker, kind === 'ok' ? undefined : kind, kind === 'timeout' ? 1000 : 0)
          inARow[index] = kind === 'ok' ? 0 : inARow[index]! + 1
          if (kind === 'ok') expect(stateOf(worker)).toBe('live')
          if (kind === 'reset' || kind === 'unreachable') expect(stateOf(worker)).not.toBe('live')
          if (before === 'half_open' && kind !== 'ok' && kind !== 'timeout') expect(stateOf(worker)).toBe('ejected')
          if (before === 'live' && stateOf(worker) === 'ejected') {
            expect(inARow[index]).toBeGreaterThanOrEqual(FAILURES_TO_EJECT)
          }
          const ejected = workers.filter((one) => ['ejected', 'half_open'].includes(stateOf(one)))
          expect(ejected.length).toBeLessThanOrEqual(Math.floor(count / 2))
        }
        for (const change of changes) expect(change).not.toMatch(/suspect \((timeout|answer)\)/)
        for (const worker of workers) healthy.set(worker, true)
        await pass(75_000)
        for (const worker of workers) expect(isOpen(worker)).toBe(true)
        health.close()
      }),
      { numRuns: 100 },
    )
  })
})
