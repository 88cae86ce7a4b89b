import { describe, expect, test } from 'vitest'
import { createTurns, type Turns, type TurnsOptions } from '../../src/platform/turns.ts'

const ROOM: TurnsOptions = { inAll: 2, waiting: { inAll: 3, perKey: 2 }, waitMs: 60_000 }

type Work = {
  readonly started: string[]
  readonly take: (key: string, name: string) => Promise<void>
  readonly end: (name: string) => void
}

/** Work that lasts until it is ended by its name. */
function createWork(turns: Turns): Work {
  const started: string[] = []
  const open = new Map<string, () => void>()
  return {
    started,
    take: (key, name) =>
      turns.run(key, () => {
        started.push(name)
        return new Promise<void>((resolve) => open.set(name, resolve))
      }),
    end: (name) => open.get(name)!(),
  }
}

describe('turns', () => {
  test('are one at a time for each key and a few in all, in the order of asking', async () => {
    const work = createWork(createTurns(ROOM))
    const all = [work.take('a', 'a1'), work.take('a', 'a2'), work.take('b', 'b1'), work.take('c', 'c1')]
    expect(work.started).toEqual(['a1', 'b1'])
    work.end('b1')
    await expect.poll(() => work.started).toEqual(['a1', 'b1', 'c1'])
    work.end('a1')
    await expect.poll(() => work.started).toEqual(['a1', 'b1', 'c1', 'a2'])
    work.end('a2')
    work.end('c1')
    await Promise.all(all)
  })

  test('are refused at once when too many wait, for one key or in all', async () => {
    const work = createWork(createTurns(ROOM))
    for (const name of ['a1', 'a2', 'a3']) void work.take('a', name)
    await expect(work.take('a', 'a4')).rejects.toMatchObject({ code: 'overloaded', kind: { retryAfterS: 1 } })
    void work.take('b', 'b1')
    void work.take('c', 'c1')
    await expect(work.take('d', 'd1')).rejects.toMatchObject({ code: 'overloaded' })
    expect(work.started).toEqual(['a1', 'b1'])
  })

  test('do not come after the wait is over', async () => {
    const work = createWork(createTurns({ ...ROOM, waitMs: 20 }))
    const first = work.take('a', 'a1')
    await expect(work.take('a', 'a2')).rejects.toMatchObject({ code: 'overloaded' })
    work.end('a1')
    await first
    void work.take('a', 'a3')
    expect(work.started).toEqual(['a1', 'a3'])
  })

  test('come round again when the work fails', async () => {
    const turns = createTurns({ ...ROOM, inAll: 1 })
    await expect(turns.run('a', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    expect(await turns.run('a', () => Promise.resolve('done'))).toBe('done')
  })
})
