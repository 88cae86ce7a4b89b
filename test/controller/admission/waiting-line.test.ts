import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WaitingLine } from '../../../src/controller/admission/waiting-line.ts'
import { PRIORITIES, type Priority } from '../../../src/core/decision.ts'

type Waiter = Parameters<WaitingLine['add']>[0]
const RANK: Readonly<Record<Priority, number>> = { low: 0, normal: 1, high: 2 }
const nothing = (): void => undefined
const waiter = (caller: string, priority: Priority = 'normal', sinceMs = 0): Waiter => ({
  caller,
  priority,
  sinceMs,
  timeoutMs: 1000,
  hasLeft: () => false,
  admit: nothing,
  refuse: nothing,
})
function lineOf(...waiters: Waiter[]): WaitingLine {
  const line = new WaitingLine()
  for (const one of waiters) line.add(one)
  return line
}
function drained(line: WaitingLine): Waiter[] {
  const all: Waiter[] = []
  for (let next = line.next(); next !== undefined; next = line.next()) all.push(next)
  return all
}

describe('the next one', () => {
  test('has the highest priority', () => {
    const line = lineOf(waiter('a', 'low'), waiter('b', 'normal'), waiter('c', 'high'))
    expect(drained(line).map(({ priority }) => priority)).toEqual(['high', 'normal', 'low'])
  })

  test('is of another caller, if one waits', () => {
    const line = lineOf(waiter('loud'), waiter('loud'), waiter('loud'), waiter('quiet'), waiter('third'))
    expect(drained(line).map(({ caller }) => caller)).toEqual(['loud', 'quiet', 'third', 'loud', 'loud'])
  })

  test('is the oldest of its caller', () => {
    const line = lineOf(waiter('a', 'normal', 1), waiter('a', 'normal', 2))
    expect(drained(line).map(({ sinceMs }) => sinceMs)).toEqual([1, 2])
  })
})

describe('the one that has to go', () => {
  test('is the newest of the caller with the most, of the lowest priority', () => {
    const line = lineOf(
      waiter('loud', 'normal'),
      waiter('loud', 'normal'),
      waiter('a', 'low', 1),
      waiter('b', 'low', 2),
      waiter('b', 'low', 3),
    )
    expect(line.dropNewest('high')).toMatchObject({ caller: 'b', sinceMs: 3 })
    expect(line.size).toBe(4)
  })

  test('has no higher priority than the one that comes', () => {
    const line = lineOf(waiter('a', 'high'), waiter('a', 'normal'))
    expect(line.dropNewest('low')).toBeUndefined()
    expect(line.dropNewest('normal')).toMatchObject({ priority: 'normal' })
    expect(line.dropNewest('normal')).toBeUndefined()
    expect(line.size).toBe(1)
  })

  test('is everyone to whom it applies', () => {
    const line = lineOf(waiter('a', 'low', 1), waiter('a', 'low', 5), waiter('b', 'high', 2), waiter('b', 'high', 6))
    expect(line.drop(({ sinceMs }) => sinceMs < 5).map(({ sinceMs }) => sinceMs)).toEqual([1, 2])
    expect(drained(line).map(({ sinceMs }) => sinceMs)).toEqual([6, 5])
  })
})

test('a caller has its share when it has as many as the others', () => {
  const line = lineOf(waiter('loud'), waiter('loud'), waiter('loud'), waiter('quiet'))
  expect(line.hasItsShare('loud', 'normal')).toBe(true)
  expect(line.hasItsShare('quiet', 'normal')).toBe(false)
  expect(line.hasItsShare('new', 'normal')).toBe(false)
  expect(line.hasItsShare('loud', 'high')).toBe(false)
})

test('the order holds whatever comes and goes', () => {
  const one = fc.record({ caller: fc.constantFrom('a', 'b', 'c'), priority: fc.constantFrom(...PRIORITIES) })
  const action = fc.oneof(
    { weight: 3, arbitrary: one.map((of) => ({ do: 'add' as const, of })) },
    { weight: 1, arbitrary: fc.constant({ do: 'next' as const }) },
    { weight: 1, arbitrary: fc.constantFrom(...PRIORITIES).map((priority) => ({ do: 'drop' as const, priority })) },
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
      const line = new WaitingLine()
      const model: Waiter[] = []
      let timeMs = 0
      const remove = (taken: Waiter | undefined): void => {
        if (taken !== undefined) model.splice(model.indexOf(taken), 1)
      }
      const ranks = () => model.map(({ priority }) => RANK[priority])
      const countOf = (like: Waiter) => model.filter((w) => w.caller === like.caller && w.priority === like.priority)
      for (const step of actions) {
        if (step.do === 'add') {
          const added = waiter(step.of.caller, step.of.priority, timeMs++)
          line.add(added)
          model.push(added)
        } else if (step.do === 'next') {
          const next = line.next()
          expect(next === undefined).toBe(model.length === 0)
          if (next !== undefined) {
            expect(RANK[next.priority]).toBe(Math.max(...ranks()))
            expect(countOf(next)[0]).toBe(next)
          }
          remove(next)
        } else {
          const dropped = line.dropNewest(step.priority)
          const lower = model.filter(({ priority }) => RANK[priority] <= RANK[step.priority])
          expect(dropped === undefined).toBe(lower.length === 0)
          if (dropped !== undefined) {
            expect(RANK[dropped.priority]).toBe(Math.min(...ranks()))
            const same = model.filter(({ priority }) => priority === dropped.priority)
            const most = Math.max(...['a', 'b', 'c'].map((c) => same.filter(({ caller }) => caller === c).length))
            expect(countOf(dropped)).toHaveLength(most)
            expect(countOf(dropped).at(-1)).toBe(dropped)
          }
          remove(dropped)
        }
        expect(line.size).toBe(model.length)
      }
    }),
  )
})
