// Who is refused while a budget burns: a simulation by a clock that the test moves.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSloSet } from '../../../src/controller/slo/slo-set.ts'
import type { CallEnd } from '../../../src/controller/slo/call-grade.ts'
import type { Priority } from '../../../src/core/decision.ts'
import { parseCapability } from '../../../src/core/capability.ts'
import type { Slo } from '../../../src/slo/slo.ts'
import { HELLO_CAPABILITY, slo } from './slos.ts'

const GOOD: CallEnd = { outcome: 'completed', status: 200, error: undefined, firstByteMs: 5 }
const SLOW: CallEnd = { ...GOOD, firstByteMs: 5000 }
const BAD: CallEnd = { outcome: 'worker_failed', status: 502, error: { code: 'worker_failed' }, firstByteMs: undefined }

function setUp(over: Partial<Slo> = {}) {
  let nowMs = 0
  let step = 0
  // Evenly spread by the golden ratio, also for every second or third of the values.
  const random = () => ((step += 1) * 0.618033988749895) % 1
  const set = createSloSet({ monotonic: () => nowMs, random })
  set.follow([slo(over)])
  const shedding = () => [...set.all()][0]![1].shedding
  /** So many seconds with ten calls of each of the priorities; those that pass end so. How many of each were shed. */
  function pass(seconds: number, end: CallEnd, priorities: readonly Priority[] = ['low', 'normal', 'high']) {
    const shed = { low: 0, normal: 0, high: 0 }
    for (let second = 0; second < seconds; second += 1) {
      nowMs += 1000
      for (let call = 0; call < 10; call += 1) {
        for (const priority of priorities) {
          if (set.refuse(HELLO_CAPABILITY, priority) === undefined) set.ended(HELLO_CAPABILITY, end)
          else shed[priority] += 1
        }
      }
    }
    return shed
  }
  const share = (priority: 'low' | 'normal') => shedding().share(priority, nowMs)
  return { set, pass, share, wait: (ms: number) => void (nowMs += ms) }
}

describe('shedding', () => {
  test('rises with the burn: low within a minute, normal from the third on, high never; each keeps a tenth', () => {
    const { pass, share } = setUp()
    pass(5, BAD)
    expect(share('low')).toBeGreaterThan(0)
    expect(share('low')).toBeLessThan(0.1)
    pass(60, BAD)
    expect(share('low')).toBeCloseTo(0.9)
    expect(pass(50, BAD).normal).toBe(0)
    pass(90, BAD)
    expect(share('normal')).toBeCloseTo(0.9)
    const { low, normal, high } = pass(100, BAD)
    expect(high).toBe(0)
    for (const refused of [low, normal]) expect(refused / 1000).toBeCloseTo(0.9, 1)
  })

  test('does not reach normal when refusing low ends the burn', () => {
    const { pass, share } = setUp()
    pass(70, BAD)
    for (let round = 0; round < 5; round += 1) pass(60, GOOD)
    expect(share('low')).toBe(0)
    expect(share('normal')).toBe(0)
  })

  test('ends about a minute after the last failure, although the hour still shows the burn', () => {
    const { pass, share, set } = setUp()
    pass(200, BAD)
    expect(share('normal')).toBeGreaterThan(0.5)
    pass(61 + 60, GOOD)
    expect([share('low'), share('normal')]).toEqual([0, 0])
    expect([...set.all()][0]![1].track.burn('availability', '1h', 320_000)).toBeGreaterThan(14.4)
  })

  test('ends without any calls, too', () => {
    const { pass, share, wait } = setUp()
    pass(200, BAD)
    wait(70_000)
    share('low')
    wait(60_000)
    expect([share('low'), share('normal')]).toEqual([0, 0])
  })

  test('answers slow calls as it answers failing ones', () => {
    const { pass, share } = setUp()
    pass(65, SLOW)
    expect(share('low')).toBeCloseTo(0.9)
  })

  test('does not begin for a few failures of a quiet mesh', () => {
    const quiet = setUp()
    for (let hour = 0; hour < 9; hour += 1) {
      quiet.wait(60_000)
      quiet.set.ended(HELLO_CAPABILITY, BAD)
      quiet.set.refuse(HELLO_CAPABILITY, 'low')
    }
    expect(quiet.share('low')).toBe(0)
  })

  test('does not begin for a burn below the threshold', () => {
    const { pass, share } = setUp({ burn: { fast: 60, slow: 6 } })
    for (let second = 0; second < 100; second += 1) {
      pass(1, BAD, ['high'])
      pass(1, GOOD, ['high'])
    }
    expect(share('low')).toBe(0)
  })

  test('keeps to the priorities of the SLO, also when they change during a burn', () => {
    const { set, pass, share } = setUp({ shed: ['low'] })
    expect(pass(300, BAD).normal).toBe(0)
    expect(share('low')).toBeCloseTo(0.9)
    set.follow([slo({ shed: [] })])
    expect(pass(10, BAD)).toEqual({ low: 0, normal: 0, high: 0 })
    set.follow([])
    expect(set.refuse(HELLO_CAPABILITY, 'low')).toBeUndefined()
  })

  test('asks callers to come back later the more it refuses', () => {
    const { set, pass } = setUp()
    const after = () => {
      for (;;) {
        const seconds = set.refuse(HELLO_CAPABILITY, 'low')
        if (seconds !== undefined) return seconds
      }
    }
    pass(20, BAD)
    expect(after()).toBeLessThan(20)
    pass(60, BAD)
    expect(after()).toBe(30)
  })

  test('leaves capabilities without an SLO alone', () => {
    const { set, pass } = setUp()
    pass(100, BAD)
    const other = parseCapability('stream:text_events')
    set.ended(other, BAD)
    expect(set.refuse(other, 'low')).toBeUndefined()
  })

  test('never refuses high, and never all of anything, whatever happens', () => {
    const event = fc.record({ seconds: fc.integer({ min: 1, max: 90 }), end: fc.constantFrom(GOOD, BAD, SLOW) })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), (events) => {
        const { pass, share } = setUp()
        for (const { seconds, end } of events) {
          expect(pass(seconds, end).high).toBe(0)
          expect(share('low')).toBeGreaterThanOrEqual(share('normal'))
          expect(share('low')).toBeLessThanOrEqual(0.9)
        }
      }),
      { numRuns: 30 },
    )
  })
})
