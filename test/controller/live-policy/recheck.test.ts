// When the self-check runs: rarely while it passes, and at least every 750 ms while it fails.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createRecheck } from '../../../src/controller/live-policy/recheck.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

test('while it fails the pauses grow, but only so far that an engine is seen within a second of its return', async () => {
  const atMs: number[] = []
  const startMs = performance.now()
  let isBack = false
  const recheck = createRecheck(() => {
    atMs.push(Math.round(performance.now() - startMs))
    return Promise.resolve(isBack)
  }, 5000)
  await vi.advanceTimersByTimeAsync(60_000)
  const pauses = atMs.slice(1).map((ms, n) => ms - atMs[n]!)
  expect(pauses.slice(0, 4)).toEqual([250, 500, 750, 750])
  expect(Math.max(...pauses)).toBe(750)
  isBack = true
  await vi.advanceTimersByTimeAsync(1000)
  const checks = atMs.length
  await vi.advanceTimersByTimeAsync(4000)
  expect(atMs).toHaveLength(checks)
  recheck.stop()
  expect(vi.getTimerCount()).toBe(0)
})

test('an engine in this process is not checked while nothing changes, but soon after an error', async () => {
  let checks = 0
  const recheck = createRecheck(() => {
    checks += 1
    return Promise.resolve(true)
  }, undefined)
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect([checks, vi.getTimerCount()]).toEqual([1, 0])
  recheck.soon()
  await vi.advanceTimersByTimeAsync(0)
  expect(checks).toBe(2)
  recheck.stop()
})
