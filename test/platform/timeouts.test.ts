import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createTimeouts, exactTimeout, type StartTimeout } from '../../src/platform/timeouts.ts'

let timeouts: ReturnType<typeof createTimeouts>
beforeEach(() => {
  vi.useFakeTimers()
  timeouts = createTimeouts()
})
afterEach(() => {
  timeouts.close()
  vi.useRealTimers()
})

const LONG = 30_000
const kinds: [string, () => StartTimeout, ms: number, lateMs: number][] = [
  ['an exact one', () => exactTimeout, LONG, 0],
  ['a short one', () => timeouts.start, 100, 0],
  ['a long one', () => timeouts.start, LONG, 50],
]

describe.each(kinds)('%s', (_what, start, ms, lateMs) => {
  test('fires once, not early, and at most so late', () => {
    const fired = vi.fn()
    start()(fired, ms)
    vi.advanceTimersByTime(ms - 1)
    expect(fired).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1 + lateMs)
    expect(fired).toHaveBeenCalledOnce()
    vi.advanceTimersByTime(3 * ms)
    expect(fired).toHaveBeenCalledOnce()
  })

  test('that is refreshed begins again', () => {
    const fired = vi.fn()
    const timeout = start()(fired, ms)
    vi.advanceTimersByTime(ms - 1)
    timeout.refresh()
    vi.advanceTimersByTime(ms - 1)
    expect(fired).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1 + lateMs)
    expect(fired).toHaveBeenCalledOnce()
  })

  test('that is stopped never fires, and cannot be refreshed', () => {
    const fired = vi.fn()
    const timeout = start()(fired, ms)
    timeout.stop()
    timeout.refresh()
    vi.advanceTimersByTime(3 * ms)
    expect(fired).not.toHaveBeenCalled()
  })

  test('that has fired begins again when it is refreshed', () => {
    const fired = vi.fn()
    const timeout = start()(fired, ms)
    vi.advanceTimersByTime(10 * ms)
    timeout.refresh()
    vi.advanceTimersByTime(ms - 1)
    expect(fired).toHaveBeenCalledOnce()
    vi.advanceTimersByTime(1 + lateMs)
    expect(fired).toHaveBeenCalledTimes(2)
  })

  test('can be refreshed while it fires', () => {
    const fired = vi.fn(() => timeout.refresh())
    const timeout = start()(fired, ms)
    vi.advanceTimersByTime(3 * (ms + lateMs))
    expect(fired).toHaveBeenCalledTimes(3)
    timeout.stop()
  })
})

test('long ones fire in the order in which they end, whatever their lengths and refreshes', () => {
  const fired: string[] = []
  const first = timeouts.start(() => fired.push('first'), LONG)
  timeouts.start(() => fired.push('second'), LONG)
  timeouts.start(() => fired.push('shorter'), LONG - 5000)
  vi.advanceTimersByTime(1000)
  first.refresh()
  vi.advanceTimersByTime(2 * LONG)
  expect(fired).toEqual(['shorter', 'second', 'first'])
})

test('one that starts others while it fires does not disturb them', () => {
  const fired = vi.fn()
  timeouts.start(() => timeouts.start(fired, LONG), LONG)
  vi.advanceTimersByTime(LONG + 50)
  expect(fired).not.toHaveBeenCalled()
  vi.advanceTimersByTime(LONG + 50)
  expect(fired).toHaveBeenCalledOnce()
})

test('nothing runs when no long one is left', () => {
  const stopped = timeouts.start(() => undefined, LONG)
  expect(vi.getTimerCount()).toBe(1)
  stopped.stop()
  vi.advanceTimersByTime(50)
  expect(vi.getTimerCount()).toBe(0)
  const fired = vi.fn()
  timeouts.start(fired, LONG)
  vi.advanceTimersByTime(LONG + 50)
  expect([fired.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0])
})
