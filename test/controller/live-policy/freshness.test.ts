import { expect, test } from 'vitest'
import { createFreshness } from '../../../src/controller/live-policy/freshness.ts'

function setUp(maxStalenessMs?: number) {
  const clock = { wall: 1_790_000_000_000, mono: 50 }
  const events: string[] = []
  const note = (fields: object): void => void events.push((fields as { event: string }).event)
  const freshness = createFreshness({
    maxStalenessMs,
    log: { info: note, warn: note, error: note },
    now: () => clock.wall,
    monotonic: () => clock.mono,
  })
  const pass = (ms: number): void => {
    clock.wall += ms
    clock.mono += ms
  }
  return { freshness, clock, events, pass }
}

test('is stale after the longest time allowed, and fresh with the next confirmation; both are logged once', () => {
  const { freshness, events, pass } = setUp(1000)
  pass(1000)
  freshness.watch()
  expect(freshness.isStale()).toBe(false)
  pass(1)
  freshness.watch()
  freshness.watch()
  expect(freshness.isStale()).toBe(true)
  freshness.confirm()
  freshness.watch()
  expect([freshness.isStale(), events]).toEqual([false, ['policy_stale', 'policy_fresh']])
})

test('is never stale where no limit is set', () => {
  const { freshness, pass } = setUp()
  pass(1e12)
  expect(freshness.isStale()).toBe(false)
})

test('counts from when it was seen, not from when that was reported; an older sight changes nothing', () => {
  const { freshness, clock, pass } = setUp(1000)
  pass(2000)
  const seenMs = clock.wall - 800
  freshness.confirm(seenMs)
  freshness.confirm(seenMs - 5000)
  expect([freshness.isStale(), freshness.lastSuccessMs()]).toEqual([false, seenMs])
  pass(201)
  expect(freshness.isStale()).toBe(true)
})

test('a step of the wall clock makes nothing stale, and nothing fresh', () => {
  const { freshness, clock, pass } = setUp(1000)
  clock.wall += 3_600_000
  expect(freshness.isStale()).toBe(false)
  clock.wall -= 7_200_000
  pass(1001)
  expect(freshness.isStale()).toBe(true)
})
