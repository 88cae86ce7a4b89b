import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { watchLoopDelay } from '../../../src/controller/admission/loop-delay.ts'

test('a busy loop is seen once', async () => {
  const loop = watchLoopDelay()
  try {
    await pause(450)
    // Longer than the time between two samples.
    const end = performance.now() + 300
    while (performance.now() < end);
    await pause(450)
    const busy = loop.take()
    expect(busy.max).toBeGreaterThan(0.04)
    expect(busy.p99).toBeGreaterThan(0.04)
    expect(busy.p50).toBeLessThanOrEqual(busy.p99)
    expect(loop.take()).toEqual({ p50: 0, p99: 0, max: 0 })
  } finally {
    loop.close()
  }
})
