import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startSweeper } from '../../../src/controller/routing/sweeper.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('a sweeper that was late looks once later, after what has arrived meanwhile, but not later again and again', () => {
  let nowMs = 0
  let sweeps = 0
  const registry = { sweep: () => (sweeps++, []) }
  using _sweeper = startSweeper({ registry, heartbeatIntervalMs: 100, monotonic: () => nowMs })
  const tick = (ms: number): number => {
    nowMs += ms
    vi.advanceTimersByTime(100)
    return sweeps
  }
  expect([tick(100), tick(100)]).toEqual([1, 2])
  expect([tick(5000), tick(100)]).toEqual([2, 3])
  expect([tick(5000), tick(5000), tick(5000)]).toEqual([3, 4, 4])
})
