import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FairLine } from '../../src/platform/fair-line.ts'

function lineOf(entries: readonly (readonly [string, number])[]): FairLine<number> {
  const line = new FairLine<number>()
  for (const [owner, entry] of entries) line.add(owner, entry)
  return line
}
function drained(line: FairLine<number>): number[] {
  const all: number[] = []
  for (let next = line.next(); next !== undefined; next = line.next()) all.push(next)
  return all
}

describe('a fair line', () => {
  test('serves owners in turn, and the oldest of each first', () => {
    const line = lineOf([
      ['loud', 1],
      ['loud', 2],
      ['loud', 3],
      ['quiet', 4],
    ])
    expect([line.size, line.owners, line.countOf('loud'), line.countOf('nobody')]).toEqual([4, 2, 3, 0])
    expect(drained(line)).toEqual([1, 4, 2, 3])
  })

  test('gives up the newest of the owner with the most', () => {
    const line = lineOf([
      ['quiet', 1],
      ['loud', 2],
      ['loud', 3],
    ])
    expect([line.dropNewest(), line.dropNewest(), line.dropNewest(), line.dropNewest()]).toEqual([3, 1, 2, undefined])
    expect([line.size, line.owners]).toEqual([0, 0])
  })

  test('drops those to which it applies', () => {
    const line = lineOf([
      ['a', 1],
      ['a', 2],
      ['b', 4],
    ])
    expect(line.drop((entry) => entry % 2 === 0)).toEqual([2, 4])
    expect([line.size, line.owners, drained(line)]).toEqual([1, 1, [1]])
  })

  test('delays an owner with one entry by one turn of each other owner at most', () => {
    const owners = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 60 })
    fc.assert(
      fc.property(owners, (others) => {
        const line = lineOf(others.map((owner) => [owner, 0] as const))
        line.add('one', 1)
        expect(drained(line).indexOf(1)).toBeLessThanOrEqual(new Set(others).size)
      }),
    )
  })
})
