import { expect, test } from 'vitest'
import type { WorkerInstance } from '../../../src/controller/routing/registry.ts'
import { pickProvider } from '../../../src/controller/routing/select.ts'

const worker = (workerId: string, inFlight = 0) => ({ workerId, inFlight }) as WorkerInstance
// mulberry32: a seeded stand-in for Math.random, so that the counts below are the same in every run.
function seeded(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

test('picks nothing from nothing, and the only one from one', () => {
  const only = worker('a')
  expect(pickProvider([], Math.random)).toBeUndefined()
  expect(pickProvider([only], Math.random)).toBe(only)
})

test('never picks a worker that was tried', () => {
  const [a, b] = [worker('a'), worker('b', 100)]
  expect(pickProvider([a, b], Math.random, new Set([a]))).toBe(b)
  expect(pickProvider([a, b], Math.random, new Set([a, b]))).toBeUndefined()
})

test('always picks the less busy of two', () => {
  const [busy, idle] = [worker('busy', 5), worker('idle', 1)]
  const random = seeded(1)
  for (let i = 0; i < 200; i++) expect(pickProvider([busy, idle], random)).toBe(idle)
})

test('spreads load over equal workers', () => {
  const workers = Array.from({ length: 10 }, (_, i) => worker(`w${i}`))
  const random = seeded(7)
  for (let i = 0; i < 10_000; i++) pickProvider(workers, random)!.inFlight++
  const loads = workers.map(({ inFlight }) => inFlight)
  expect(Math.max(...loads) - Math.min(...loads)).toBeLessThan(10)
})
