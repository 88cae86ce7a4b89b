import { describe, expect, test } from 'vitest'
import { createSpanClock } from '../../../src/platform/tracing/span-clock.ts'

/** Two clocks of which one look takes a tenth of a microsecond; `ahead`: the wall clock's true lead. */
function clocks({ ahead = 1_700_000_000_000.437, looksMs = 0.0001 } = {}) {
  let elapsed = 12.3456
  const world = { ahead, skip: (ms: number) => void (elapsed += ms), now: () => elapsed }
  const monotonic = (): number => (elapsed += looksMs)
  const wall = (): number => Math.floor((elapsed += looksMs) + world.ahead)
  return { world, monotonic, wall }
}

describe('the span clock', () => {
  test('has the fraction of the millisecond that the wall clock does not say', () => {
    const { world, ...both } = clocks()
    const time = createSpanClock(both)()
    for (const ms of [0, 0.3, 17.77]) {
      world.skip(ms)
      const error = Math.abs(time() - (world.now() + world.ahead))
      expect(error).toBeLessThan(0.001)
    }
  })

  test('is set again after a minute, and a call that began before goes on by its own time', () => {
    const { world, ...both } = clocks()
    const clock = createSpanClock(both)
    const before = clock()
    world.skip(30_000)
    expect(clock()).toBe(before)
    world.ahead += 250
    world.skip(30_001)
    const after = clock()
    expect(after).not.toBe(before)
    expect(after() - before()).toBeCloseTo(250, 2)
  })

  test('never goes back within a call, though the wall clock is set back', () => {
    const { world, ...both } = clocks()
    const time = createSpanClock(both)()
    const first = time()
    world.ahead -= 10_000
    world.skip(1)
    expect(time()).toBeGreaterThan(first)
  })

  test('waits for another tick where something else ran during the first', () => {
    const { world, monotonic, wall } = clocks()
    let looks = 0
    const busy = (): number => {
      looks += 1
      // Stopped for 3 ms, in the middle of which the clock ticked.
      if (looks === 100) world.skip(3.3)
      return wall()
    }
    const time = createSpanClock({ wall: busy, monotonic })()
    expect(Math.abs(time() - (world.now() + world.ahead))).toBeLessThan(0.001)
  })

  test('goes by a wall clock that stands still, as one of a test may', () => {
    const { monotonic } = clocks()
    expect(createSpanClock({ wall: () => 1000, monotonic })()()).toBeGreaterThanOrEqual(1000)
  })
})
