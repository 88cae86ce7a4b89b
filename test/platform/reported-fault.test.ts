import { expect, test } from 'vitest'
import { createReportedFault } from '../../src/platform/reported-fault.ts'

test('a fault is news once, again when it changes, and again after it was over', () => {
  const fault = createReportedFault()
  expect(['a', 'a', 'b', 'b', 'a'].map(fault.isNews)).toEqual([true, false, true, false, true])
  expect([fault.end(), fault.isNews('a')]).toEqual([true, true])
})

test('the end of a fault is news only where the fault was', () => {
  const fault = createReportedFault()
  expect(fault.end()).toBe(false)
  fault.isNews('a')
  expect([fault.current(), fault.end(), fault.end(), fault.current()]).toEqual(['a', true, false, undefined])
})
