// Finished spans go to the exporter in batches: one at a time, whole ones first, and all of them at the end.
import { context, createContextKey, ROOT_CONTEXT } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createSpanQueue } from '../../../src/platform/tracing/span-queue.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function queue({ admit = (): boolean => true } = {}) {
  const sent: string[][] = []
  const done: (() => void)[] = []
  let closed = 0
  const exporter = {
    export: (spans: ReadableSpan[], callback: (result: { code: number }) => void) => {
      expect(context.active()).toBe(ROOT_CONTEXT)
      sent.push(spans.map(({ name }) => name))
      done.push(() => callback({ code: 0 }))
    },
    shutdown: () => Promise.resolve(void (closed += 1)),
  }
  const made = createSpanQueue({ exporter, admit, batch: 4, delayMs: 50, busyDelayMs: 200 })
  const add = (...names: string[]): void => names.forEach((name) => made.add({ name } as ReadableSpan))
  /** The collector has taken the oldest batch. */
  const taken = async (): Promise<void> => {
    done.shift()?.()
    await vi.advanceTimersByTimeAsync(0)
  }
  return { ...made, add, sent, taken, closed: () => closed }
}

test('a span waits for its delay, and a whole batch does not wait', async () => {
  const { add, sent, taken } = queue()
  add('a')
  await vi.advanceTimersByTimeAsync(49)
  expect(sent).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(sent).toEqual([['a']])
  await taken()
  context.with(ROOT_CONTEXT.setValue(createContextKey('request'), 1), () => add('b', 'c', 'd', 'e', 'f'))
  // Not inside the call that ends the span.
  expect(sent).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(0)
  expect(sent).toEqual([['a'], ['b', 'c', 'd', 'e']])
})

test('the next batch leaves when the one before has been taken', async () => {
  const { add, sent, taken } = queue()
  add('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i')
  await vi.advanceTimersByTimeAsync(1000)
  expect(sent).toEqual([['a', 'b', 'c', 'd']])
  await taken()
  expect(sent).toEqual([
    ['a', 'b', 'c', 'd'],
    ['e', 'f', 'g', 'h'],
  ])
})

test('under load a batch waits longer to become whole, and a calm batch ends that', async () => {
  const { add, sent, taken } = queue()
  add('a', 'b', 'c', 'd')
  await vi.advanceTimersByTimeAsync(0)
  await taken()
  add('e')
  await vi.advanceTimersByTimeAsync(199)
  expect(sent).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(sent).toEqual([['a', 'b', 'c', 'd'], ['e']])
})

test('what has no room is not kept, and at the end all batches leave at once and nothing after them', async () => {
  let room = 6
  const { add, sent, taken, shutdown, closed } = queue({ admit: () => room-- > 0 })
  add('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')
  const ending = shutdown()
  expect(sent).toEqual([
    ['a', 'b', 'c', 'd'],
    ['e', 'f'],
  ])
  add('late')
  await taken()
  expect(closed()).toBe(0)
  await taken()
  await ending
  await vi.advanceTimersByTimeAsync(1000)
  expect(sent).toHaveLength(2)
  expect(closed()).toBe(1)
})
