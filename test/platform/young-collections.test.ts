// Collections are asked for by bytes, and free what passes outside of the heap.
import { expect, test } from 'vitest'
import { createYoungCollections } from '../../src/platform/young-collections.ts'

const MIB = 1024 * 1024

test('one for each four megabytes', () => {
  let collections = 0
  let opened = 0
  const passed = createYoungCollections(() => {
    opened += 1
    return () => (collections += 1)
  })
  for (let part = 0; part < 64 * 24; part++) passed(MIB / 64)
  expect([collections, opened]).toEqual([6, 1])
})

test('none for small bodies, however many pass', () => {
  const passed = createYoungCollections(() => expect.unreachable())
  for (let part = 0; part < 100_000; part++) passed(1000)
})

test('the function of V8 is not left behind', () => {
  createYoungCollections()(4 * MIB)
  expect(globalThis.gc).toBeUndefined()
})
