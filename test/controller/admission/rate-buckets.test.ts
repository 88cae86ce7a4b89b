import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRateBuckets } from '../../../src/controller/admission/rate-buckets.ts'

function setup(maxBuckets = 100) {
  let nowMs = 0
  const buckets = createRateBuckets({ maxBuckets, monotonic: () => nowMs })
  return { buckets, pass: (ms: number) => (nowMs += ms), now: () => nowMs }
}

/** The plain token bucket: a number of tokens, filled as time passes. */
class Model {
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #atMs = 0

  constructor(rate: number, burst: number) {
    this.#rate = rate
    this.#burst = burst
    this.#tokens = burst
  }

  take(nowMs: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) * this.#rate) / 1000)
    this.#atMs = nowMs
    if (this.#tokens < 1 - 1e-6) return false
    this.#tokens -= 1
    return true
  }
}

describe('a bucket', () => {
  test('agrees with a plain token bucket, whatever the calls, and says when to come again', () => {
    const rate = fc.constantFrom(0.1, 0.5, 1, 3, 10, 1000)
    const burst = fc.integer({ min: 1, max: 20 })
    const pauses = fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 100 })
    fc.assert(
      fc.property(rate, burst, pauses, (perSecond, size, between) => {
        const { buckets, pass, now } = setup()
        const model = new Model(perSecond, size)
        for (const ms of between) {
          pass(ms)
          const waitMs = buckets.take('k', { rate: perSecond, burst: size })
          expect(waitMs === 0).toBe(model.take(now()))
          expect(waitMs).toBeLessThanOrEqual(1000 / perSecond + 1e-6)
        }
      }),
    )
  })

  test('has a token after exactly the time that it said', () => {
    const { buckets, pass } = setup()
    const shape = { rate: 3, burst: 1 }
    expect(buckets.take('k', shape)).toBe(0)
    const waitMs = buckets.take('k', shape)
    pass(waitMs - 1)
    expect(buckets.take('k', shape)).toBeGreaterThan(0)
    pass(1)
    expect(buckets.take('k', shape)).toBe(0)
  })

  test('is of one key', () => {
    const { buckets } = setup()
    const shape = { rate: 1, burst: 1 }
    expect([buckets.take('a', shape), buckets.take('b', shape)]).toEqual([0, 0])
    expect(buckets.take('a', shape)).toBeGreaterThan(0)
  })

  test('starts full when its rate or its burst changes', () => {
    const { buckets } = setup()
    buckets.take('k', { rate: 0.001, burst: 1 })
    expect(buckets.take('k', { rate: 0.001, burst: 1 })).toBeGreaterThan(0)
    expect(buckets.take('k', { rate: 0.002, burst: 1 })).toBe(0)
    expect(buckets.take('k', { rate: 0.002, burst: 2 })).toBe(0)
  })

  test('gets a token back', () => {
    const { buckets } = setup()
    const shape = { rate: 0.001, burst: 1 }
    buckets.take('k', shape)
    buckets.giveBack('k', shape)
    buckets.giveBack('unknown', shape)
    expect(buckets.take('k', shape)).toBe(0)
    expect(buckets.take('k', shape)).toBeGreaterThan(0)
  })

  test('that was not used for the longest time is dropped when there are too many', () => {
    const { buckets } = setup(3)
    const shape = { rate: 0.001, burst: 2 }
    for (const key of ['a', 'b', 'c', 'a', 'd', 'e']) buckets.take(key, shape)
    expect(buckets.size()).toBe(3)
    expect(buckets.take('a', shape)).toBeGreaterThan(0)
    expect([buckets.take('b', shape), buckets.take('b', shape)]).toEqual([0, 0])
  })
})
