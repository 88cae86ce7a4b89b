import { expect, test } from 'vitest'
import { createRefusalTurns } from '../../../src/controller/edge/refusal-turns.ts'

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('the first refusal of a turn is now, each of the others has its own turn', async () => {
  const turns = createRefusalTurns()
  const served: string[] = []
  const refuse = (owner: string): void => void turns.wait(owner)?.then(() => served.push(owner))
  expect(turns.wait('loud')).toBeUndefined()
  for (const owner of ['loud', 'loud', 'quiet']) refuse(owner)
  const seen: string[][] = []
  for (let turn = 0; turn < 4; turn++) {
    await nextTurn()
    seen.push([...served])
  }
  expect(seen.at(-1)).toEqual(['loud', 'quiet', 'loud'])
  // Never two more from one turn to the next.
  expect(seen.every((now, at) => now.length - (seen[at - 1]?.length ?? 0) <= 1)).toBe(true)
  await nextTurn()
  expect(turns.wait('loud')).toBeUndefined()
})
