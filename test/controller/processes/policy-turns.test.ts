// When a prepared policy may come into force in each of several processes.
import { expect, test, vi } from 'vitest'
import { createPolicyTurns } from '../../../src/controller/processes/policy-turns.ts'

test('a policy comes into force nowhere until all have prepared it; then everywhere', async () => {
  const turns = createPolicyTurns()
  for (const slot of [0, 1, 2]) turns.serves(slot, 'r1')
  const gone: string[] = []
  const prepare = async (slot: number): Promise<void> => void gone.push(`${slot} ${await turns.prepared(slot, 'r2')}`)
  const first = prepare(0)
  const second = prepare(1)
  await new Promise(setImmediate)
  expect(gone).toEqual([])
  await Promise.all([first, second, prepare(2)])
  expect(gone.toSorted()).toEqual(['0 together', '1 together', '2 together'])
})

test('a process that ends is not waited for, and one that starts with the new policy neither', async () => {
  const turns = createPolicyTurns()
  for (const slot of [0, 1, 2]) turns.serves(slot, 'r1')
  const waiting = turns.prepared(0, 'r2')
  turns.gone(1)
  turns.gone(2)
  turns.serves(2, 'r2')
  expect(await waiting).toBe('together')
})

test('a process that has gone on to a later policy holds the others back only for the wait', async () => {
  vi.useFakeTimers()
  try {
    const turns = createPolicyTurns({ waitMs: 1000 })
    for (const slot of [0, 1]) turns.serves(slot, 'r1')
    const first = turns.prepared(0, 'r2')
    const second = turns.prepared(1, 'r3')
    await vi.advanceTimersByTimeAsync(999)
    const third = turns.prepared(0, 'r3')
    expect([await second, await third]).toEqual(['together', 'together'])
    await vi.advanceTimersByTimeAsync(1)
    expect(await first).toBe('alone')
  } finally {
    vi.useRealTimers()
  }
})
