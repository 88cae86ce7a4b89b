import { expect, test, vi } from 'vitest'
import { within } from '../../src/platform/within.ts'

test('a wait ends with the work, and leaves no timer', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    await within(60_000, Promise.resolve())
    await expect(within(60_000, Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('a wait ends when its time is over, whatever the work does', async () => {
  const begun = performance.now()
  await within(20, new Promise(() => undefined))
  expect(performance.now() - begun).toBeGreaterThanOrEqual(15)
})
