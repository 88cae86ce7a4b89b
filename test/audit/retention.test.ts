import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { diskOutlook, type DiskOutlook, type SegmentFacts } from '../../src/audit/outlook.ts'
import { isFull, removalOf, type RetentionRules } from '../../src/audit/retention.ts'

const DAY_MS = 86_400_000
const NOW = 100 * DAY_MS

/** Four segments of 100 records and 1,000 bytes, which ended 3, 2 and 1 days ago; the last is written. */
const SEGMENTS: readonly SegmentFacts[] = [0, 1, 2, 3].map((at) => ({
  firstSeq: at * 100 + 1,
  file: `${at * 100 + 1}.jsonl`,
  bytes: 1000,
  beganMs: NOW - (4 - at) * DAY_MS,
  endedMs: NOW - (3 - at) * DAY_MS,
}))
const DISK: DiskOutlook = {
  bytes: 4000,
  freeBytes: 10_000,
  totalBytes: 100_000,
  minFreeBytes: 5000,
  bytesPerDay: 1000,
  daysLeft: 5,
}
const RULES: RetentionRules = {
  keep: { maxAgeMs: undefined, maxBytes: undefined },
  full: 'stop',
  nowMs: NOW,
  shippedSeq: undefined,
}

const removal = (rules: Partial<RetentionRules>, disk: Partial<DiskOutlook> = {}) =>
  removalOf(SEGMENTS, { ...DISK, ...disk }, { ...RULES, ...rules })
const byAge = (days: number) => ({ keep: { maxAgeMs: days * DAY_MS, maxBytes: undefined } })
const bySize = (maxBytes: number) => ({ keep: { maxAgeMs: undefined, maxBytes } })

describe('what may go', () => {
  test('nothing without a limit', () => {
    expect(removal({})).toBeUndefined()
  })

  test.each([
    [5, undefined],
    [2.5, { count: 1, reason: 'age' }],
    [1.5, { count: 2, reason: 'age' }],
    [0.1, { count: 3, reason: 'age' }],
  ])('what ended more than %d days ago, but not the segment that is written', (days, expected) => {
    expect(removal(byAge(days))).toEqual(expected)
  })

  test.each([
    [4000, undefined],
    [3999, { count: 1, reason: 'size' }],
    [2000, { count: 2, reason: 'size' }],
    [1, { count: 3, reason: 'size' }],
  ])('the oldest beyond %d bytes', (bytes, expected) => {
    expect(removal(bySize(bytes))).toEqual(expected)
  })

  test('the larger one of both limits', () => {
    const keep = { maxAgeMs: 2.5 * DAY_MS, maxBytes: 1000 }
    expect(removal({ keep })).toEqual({ count: 3, reason: 'size' })
    expect(removal({ keep: { ...keep, maxBytes: 3500 } })).toEqual({ count: 1, reason: 'age' })
  })
})

describe('what still has to be shipped', () => {
  test.each([
    [0, undefined],
    [99, undefined],
    [100, { count: 1, reason: 'age' }],
    [299, { count: 2, reason: 'age' }],
    [300, { count: 3, reason: 'age' }],
  ])('shipped up to record %d', (shippedSeq, expected) => {
    expect(removal({ ...byAge(0.1), shippedSeq })).toEqual(expected)
  })

  test('goes only when the disk is full and the rules permit it, as much as is needed', () => {
    const full = { freeBytes: 3500 }
    expect(removal({ ...byAge(0.1), shippedSeq: 0 }, full)).toBeUndefined()
    const rules = { ...byAge(0.1), shippedSeq: 0, full: 'drop_unshipped' } as const
    expect(removal(rules, full)).toEqual({ count: 2, reason: 'disk_full' })
    expect(removal(rules, { freeBytes: 0 })).toEqual({ count: 3, reason: 'disk_full' })
  })
})

test('a full disk alone removes nothing unless the rules permit it', () => {
  expect(removal({}, { freeBytes: 4999 })).toBeUndefined()
  expect(removal({ full: 'drop_unshipped' }, { freeBytes: 4999 })).toEqual({ count: 1, reason: 'disk_full' })
  expect(removal({ full: 'drop_unshipped' }, { freeBytes: 5000 })).toBeUndefined()
  expect([isFull({ ...DISK, freeBytes: 4999 }), isFull({ ...DISK, freeBytes: 5000 })]).toEqual([true, false])
})

test('the only segment never goes', () => {
  expect(removalOf(SEGMENTS.slice(3), DISK, { ...RULES, ...byAge(0), full: 'drop_unshipped' })).toBeUndefined()
})

describe('how long the disk lasts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'crank-outlook-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const written = [{ ...SEGMENTS[3]!, bytes: 1e6, beganMs: NOW - DAY_MS, endedMs: NOW }]
  const outlook = (keep?: RetentionRules['keep'], segments: readonly SegmentFacts[] = written) =>
    diskOutlook(folder, segments, { minFree: { bytes: 1 }, keep, nowMs: NOW })

  test('at the rate of the last day, by what may still be used', () => {
    const { bytesPerDay, daysLeft, freeBytes } = outlook()
    expect(bytesPerDay).toBeCloseTo(1e6)
    expect(daysLeft).toBeCloseTo((freeBytes - 1) / 1e6)
  })

  test('without an end where nothing is written, or where what is kept ends the growth before', () => {
    expect(outlook(undefined, [{ ...written[0]!, endedMs: NOW - 2 * DAY_MS }]).daysLeft).toBeUndefined()
    expect(outlook({ maxAgeMs: 2 * DAY_MS, maxBytes: undefined }).daysLeft).toBeUndefined()
    expect(outlook({ maxAgeMs: undefined, maxBytes: 2e6 }).daysLeft).toBeUndefined()
    expect(outlook({ maxAgeMs: undefined, maxBytes: Number.MAX_SAFE_INTEGER }).daysLeft).toBeGreaterThan(0)
  })
})
