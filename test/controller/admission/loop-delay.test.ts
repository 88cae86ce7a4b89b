import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { watchLoopDelay } from '../../../src/controller/admission/loop-delay.ts'

let loop: ReturnType<typeof watchLoopDelay>
beforeEach(() => {
  loop = watchLoopDelay()
})
afterEach(() => loop.close())

/** Blocks the loop when the first sample has begun the measurement. */
async function block({ afterMs, ms }: { afterMs: number; ms: number }): Promise<void> {
  await pause(afterMs)
  const end = performance.now() + ms
  while (performance.now() < end);
  await pause(afterMs)
}

/** Longer than the time between two samples: of a process that had no delay, and of one that had. */
const LONG = { afterMs: 1100, ms: 1300 }
const SHORT = { afterMs: 450, ms: 300 }

test('a busy loop is seen once', async () => {
  await block(LONG)
  const busy = loop.take()
  expect(busy.max).toBeGreaterThan(0.04)
  expect(busy.p99).toBeGreaterThan(0.04)
  expect(busy.p50).toBeLessThanOrEqual(busy.p99)
  expect(loop.take()).toEqual({ p50: 0, p99: 0, max: 0 })
})

test('after a delay samples come more often, so that a shorter one is seen', async () => {
  await block(LONG)
  loop.take()
  await block(SHORT)
  expect(loop.take().max).toBeGreaterThan(0.04)
})
