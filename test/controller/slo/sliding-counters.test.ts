// Sliding windows against a model that keeps every single event.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SlidingCounters } from '../../../src/controller/slo/sliding-counters.ts'

const SLOT_MS = 10
const WINDOWS = [1, 3, 8]
const COUNTERS = 2

/** What a window of `slots` has seen: the events since the beginning of its first slot. */
function modelSum(
  events: readonly (readonly [counter: number, atMs: number])[],
  slots: number,
  counter: number,
  nowMs: number,
): number {
  const fromMs = (Math.floor(nowMs / SLOT_MS) - slots + 1) * SLOT_MS
  return events.filter(([one, atMs]) => one === counter && atMs >= fromMs).length
}

describe('sliding windows', () => {
  test('count what a model counts that keeps every event, whatever the pauses between them', () => {
    const step = fc.record({
      pauseMs: fc.oneof(fc.nat(12), fc.nat(200), fc.constant(0)),
      counter: fc.nat(COUNTERS - 1),
      isRead: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.nat(1000), fc.array(step, { maxLength: 80 }), (startMs, steps) => {
        const counters = new SlidingCounters({ slotMs: SLOT_MS, windows: WINDOWS, counters: COUNTERS }, startMs)
        const events: (readonly [number, number])[] = []
        let nowMs = startMs
        for (const { pauseMs, counter, isRead } of steps) {
          nowMs += pauseMs
          if (!isRead) {
            counters.add(counter, nowMs)
            events.push([counter, nowMs])
          }
          const seen = WINDOWS.map((_, window) => counters.sum(window, counter, nowMs))
          expect(seen).toEqual(WINDOWS.map((slots) => modelSum(events, slots, counter, nowMs)))
        }
      }),
      { numRuns: 500 },
    )
  })

  test('do not go back with a clock that does', () => {
    const counters = new SlidingCounters({ slotMs: SLOT_MS, windows: WINDOWS, counters: 1 }, 100)
    counters.add(0, 100)
    counters.add(0, 20)
    expect(counters.sum(2, 0, 50)).toBe(2)
  })

  test('forget one counter and keep the others', () => {
    const counters = new SlidingCounters({ slotMs: SLOT_MS, windows: WINDOWS, counters: 2 }, 0)
    for (const atMs of [0, 10, 20]) for (const counter of [0, 1]) counters.add(counter, atMs)
    counters.clear(0)
    expect([0, 1].map((counter) => counters.sum(2, counter, 20))).toEqual([0, 3])
    // What is forgotten does not leave the window a second time.
    expect([0, 1].map((counter) => counters.sum(2, counter, 90))).toEqual([0, 1])
  })
})
