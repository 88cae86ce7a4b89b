// When a process counts as hanging; test/e2e/processes-trouble.test.ts stops a real one.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { watchForHang } from '../../../src/controller/processes/watchdog.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function watched(ask: () => Promise<unknown>) {
  const hangs: number[] = []
  const startMs = Date.now()
  const stop = watchForHang({ ask, onHang: () => hangs.push(Date.now() - startMs), everyMs: 10, misses: 3 })
  return { hangs, stop }
}

test('a process that answers, however late within the limit, does not hang', async () => {
  const { hangs, stop } = watched(() => new Promise((resolve) => setTimeout(resolve, 25)))
  await vi.advanceTimersByTimeAsync(1000)
  expect(hangs).toEqual([])
  stop()
  expect(vi.getTimerCount()).toBeLessThanOrEqual(1)
})

test('one that does not answer is reported once, after so many looks', async () => {
  const { hangs } = watched(() => new Promise(() => undefined))
  await vi.advanceTimersByTimeAsync(1000)
  expect(hangs).toEqual([40])
})

test('nothing is reported after the watch has ended', async () => {
  const { hangs, stop } = watched(() => Promise.reject(new Error('gone')))
  await vi.advanceTimersByTimeAsync(20)
  stop()
  await vi.advanceTimersByTimeAsync(1000)
  expect(hangs).toEqual([])
})
