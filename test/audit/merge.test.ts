import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mergeByTime } from '../../src/audit/merge.ts'

type Item = { readonly name: string; readonly record: { readonly timestamp: string } }

const item = (name: string, time: string | number): Item => ({ name, record: { timestamp: String(time) } })

async function* source(items: readonly Item[], onEnd: () => void = () => undefined): AsyncGenerator<Item, void> {
  try {
    for (const one of items) yield await Promise.resolve(one)
  } finally {
    onEnd()
  }
}

async function namesOf(items: AsyncIterable<Item>): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of items) names.push(name)
  return names
}

test('the earliest comes first, and at the same time the first source', async () => {
  const logs = [[item('a1', 2), item('a2', 5)], [item('b1', 1), item('b2', 2), item('b3', 5)], [], [item('d1', 5)]]
  expect(await namesOf(mergeByTime(logs.map((log) => source(log))))).toEqual(['b1', 'a1', 'b2', 'a2', 'b3', 'd1'])
})

test('a source whose clock was set back keeps its own order', async () => {
  const logs = [[item('a1', 7), item('a2', 1), item('a3', 8)], [item('b1', 3)]]
  expect(await namesOf(mergeByTime(logs.map((log) => source(log))))).toEqual(['b1', 'a1', 'a2', 'a3'])
})

test('of sources that are in order, the merged one is too, and nothing is lost', async () => {
  const times = fc.array(fc.integer({ min: 0, max: 9 })).map((list) => list.sort())
  await fc.assert(
    fc.asyncProperty(fc.array(times, { maxLength: 5 }), async (logs) => {
      const items = logs.map((log, slot) => log.map((time, at) => item(`${time} ${slot} ${at}`, time)))
      const expected = items.flat().sort((a, b) => Number(a.name[0]) - Number(b.name[0]))
      expect(await namesOf(mergeByTime(items.map((log) => source(log))))).toEqual(expected.map(({ name }) => name))
    }),
  )
})

test('all sources end when the reader stops, and when one of them fails', async () => {
  let ended: string[] = []
  const open = (name: string) => source([item(name, 1), item(name, 2)], () => void ended.push(name))
  for await (const { name } of mergeByTime([open('a'), open('b')])) if (name === 'b') break
  expect(ended).toEqual(['a', 'b'])
  ended = []
  await expect(namesOf(mergeByTime([open('a'), unreadable(), open('c')]))).rejects.toThrow('unreadable')
  expect(ended).toEqual(['a', 'c'])
})

async function* unreadable(): AsyncGenerator<Item, void> {
  yield await Promise.reject(new Error('unreadable'))
}

test('the newest come first where each source is in that order', async () => {
  const logs = [
    [item('a1', 7), item('a2', 1)],
    [item('b1', 8), item('b2', 3)],
  ]
  const sources = logs.map((log) => source(log))
  expect(await namesOf(mergeByTime(sources, 'newest'))).toEqual(['b1', 'a1', 'b2', 'a2'])
})
