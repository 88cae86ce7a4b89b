// A few threads for many calls: their number, their order, and what becomes of one that failed.
import { afterEach, describe, expect, test } from 'vitest'
import { createThreadPool, type ThreadPool } from '../../../src/platform/thread/pool.ts'
import type { Order } from './obedient.ts'

const never = new AbortController().signal
let pool: ThreadPool<Order, unknown>
afterEach(() => pool.close())

function open(threads: number) {
  pool = createThreadPool<Order, unknown>({ entry: new URL('./obedient.ts', import.meta.url), name: 'test', threads })
  const ask = (what: Exclude<Order['do'], 'echo' | 'fill' | 'double'>, signal = never) =>
    pool.use(signal, (thread) => thread.ask({ do: what }))
  return { ask }
}

describe('a pool of threads', () => {
  test('serves calls in the order of arrival, with no more threads than it may have', async () => {
    const { ask } = open(1)
    expect(await Promise.all([ask('count'), ask('count'), ask('count')])).toStrictEqual([1, 2, 3])
  })

  test('lends a thread to one call at a time', async () => {
    open(2)
    const used: object[] = []
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const both = Array.from({ length: 2 }, () =>
      pool.use(never, async (thread) => {
        used.push(thread)
        if (used.length === 2) resolve(undefined)
        await promise
      }),
    )
    await Promise.all(both)
    expect(new Set(used).size).toBe(2)
    // Idle again: the next call takes one of them.
    await pool.use(never, (thread) => Promise.resolve(used.push(thread)))
    expect(new Set(used).size).toBe(2)
  })

  for (const what of ['exit', 'throw later'] as const) {
    test(`replaces a thread that failed (${what}); calls that wait are served by the next one`, async () => {
      const { ask } = open(1)
      const [failed, next] = await Promise.allSettled([ask(what), ask('count')])
      expect([failed.status, next]).toMatchObject(['rejected', { value: 1 }])
    })
  }

  test('keeps a thread whose request failed', async () => {
    const { ask } = open(1)
    await ask('throw').catch(() => undefined)
    expect(await ask('count')).toBe(2)
  })

  test('replaces a thread that its call has ended', async () => {
    const { ask } = open(1)
    await pool.use(never, (thread) => thread.end())
    expect(await ask('count')).toBe(1)
  })

  test('forgets a call that leaves before its turn, and only that one', async () => {
    const { ask } = open(1)
    const [call, left] = [new AbortController(), new Error('the caller left')]
    const first = ask('count')
    const second = expect(ask('exit', call.signal)).rejects.toBe(left)
    const third = ask('count')
    call.abort(left)
    await second
    expect([await first, await third]).toStrictEqual([1, 2])
    await expect(ask('count', AbortSignal.abort(left))).rejects.toBe(left)
  })

  test('fails what runs, what waits and what comes when it is closed', async () => {
    const { ask } = open(1)
    await ask('count')
    const closed = { name: 'ThreadFailure', reason: 'closed' }
    const both = Promise.all(
      [ask('never reply'), ask('count')].map((call) => expect(call).rejects.toMatchObject(closed)),
    )
    await pool.close()
    await both
    await expect(ask('count')).rejects.toMatchObject(closed)
  })
})
