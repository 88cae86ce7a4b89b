import { expect, test } from 'vitest'
import { createUsageTable } from '../../../src/controller/admission/usage.ts'

test('an entry stays the same object', () => {
  const usage = createUsageTable(10)
  expect(usage.peek('a')).toBeUndefined()
  usage.of('a').calls += 1
  expect(usage.of('a')).toEqual({ calls: 1, bytes: 0 })
  expect(usage.peek('a')).toBe(usage.of('a'))
})

test('idle entries are dropped when there are too many, and those in flight never', () => {
  const usage = createUsageTable(10)
  for (let n = 0; n < 8; n++) usage.of(`busy ${n}`).calls += 1
  for (let n = 0; n < 1000; n++) usage.of(`idle ${n}`)
  expect(usage.size()).toBeLessThanOrEqual(17)
  for (let n = 0; n < 8; n++) expect(usage.peek(`busy ${n}`)?.calls).toBe(1)
})
