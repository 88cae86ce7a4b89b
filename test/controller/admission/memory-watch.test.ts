import { totalmem } from 'node:os'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createMemoryWatch, readMemory } from '../../../src/controller/admission/memory-watch.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

test('the state follows what is used, and does not flicker at a threshold', () => {
  const reading = { heapUsed: 10, heapLimit: 100, resident: 10, residentLimit: 100 }
  const watch = createMemoryWatch({ read: () => reading })
  const stateAt = (heapUsed: number): string => {
    reading.heapUsed = heapUsed
    vi.advanceTimersByTime(200)
    return watch.state()
  }
  expect(watch.state()).toBe('enough')
  expect([84, 85, 83, 81].map(stateAt)).toEqual(['enough', 'tight', 'tight', 'enough'])
  expect([95, 93, 91, 83, 10].map(stateAt)).toEqual(['short', 'short', 'tight', 'tight', 'enough'])
  reading.resident = 96
  expect(stateAt(10)).toBe('short')
  expect(watch.used()).toBe(0.96)
  // Nothing wakes an idle process.
  expect(vi.getTimerCount()).toBe(0)
})

test('a reading that fails, as without a free file handle, leaves the last one in force', () => {
  const reading = { heapUsed: 90, heapLimit: 100, resident: 10, residentLimit: 100 }
  let isReadable = true
  const read = () => {
    if (!isReadable) throw new Error('EMFILE: too many open files, uv_resident_set_memory')
    return reading
  }
  const watch = createMemoryWatch({ read })
  isReadable = false
  vi.advanceTimersByTime(400)
  expect(watch.state()).toBe('tight')
  isReadable = true
  reading.heapUsed = 10
  vi.advanceTimersByTime(200)
  expect(watch.state()).toBe('enough')
})

test('the limits are those of this process and machine', () => {
  const { heapUsed, heapLimit, resident, residentLimit } = readMemory(1)
  expect(heapUsed).toBeGreaterThan(0)
  expect(heapLimit).toBeGreaterThan(heapUsed)
  expect(resident).toBeGreaterThan(heapUsed / 2)
  expect(residentLimit).toBeLessThanOrEqual(totalmem())
  expect(residentLimit).toBeGreaterThan(0)
})
