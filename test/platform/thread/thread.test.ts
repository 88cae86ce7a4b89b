// A thread that answers requests, with one that does what it is asked: whatever happens to it, nobody waits forever.
import { execFile } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ThreadFailure } from '../../../src/platform/thread/failure.ts'
import { startThread, threadEntry, type Thread, type ThreadOptions } from '../../../src/platform/thread/thread.ts'
import type { Data, Order } from './obedient.ts'

const ENTRY = new URL('./obedient.ts', import.meta.url)
const opened: Thread<Order, unknown>[] = []
afterEach(() => Promise.all(opened.splice(0).map((thread) => thread.end())))

function start(options: Partial<ThreadOptions<string>> & { readonly data?: Data } = {}) {
  const news: string[] = []
  const failures: ThreadFailure[] = []
  const thread = startThread<Order, unknown, string>({
    entry: ENTRY,
    name: 'test',
    onNews: (item) => news.push(item),
    onFailure: (failure) => failures.push(failure),
    ...options,
  })
  opened.push(thread)
  return { thread, ask: thread.ask, news, failures }
}

describe('a thread', () => {
  test('answers many requests at a time, each to the one who asked', async () => {
    const { ask } = start()
    const texts = Array.from({ length: 50 }, (_, at) => `text ${at}`)
    expect(await Promise.all(texts.map((text) => ask({ do: 'echo', text })))).toStrictEqual(texts)
  })

  test('says something without having been asked', async () => {
    const { ask, news } = start()
    await ask({ do: 'count' })
    expect(news).toStrictEqual(['hello'])
  })

  test('gets the environment that it is given, and of the process only its compile cache', async () => {
    const folder = getCompileCacheDir()
    const cache = folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) }
    expect(await start().ask({ do: 'environment' })).toStrictEqual(cache)
    expect(await start({ env: { A: 'b' } }).ask({ do: 'environment' })).toStrictEqual({ ...cache, A: 'b' })
  })

  test('takes over the buffers of a request, and gives its own away', async () => {
    const bytes = Uint8Array.of(1, 2)
    expect(await start().ask({ do: 'double', bytes }, { transfer: [bytes.buffer] })).toStrictEqual(Uint8Array.of(2, 4))
    expect(bytes).toHaveLength(0)
  })

  for (const what of ['throw', 'reply with a function'] as const) {
    test(`goes on after a request that fails (${what}), whose text it keeps to itself`, async () => {
      const { ask, thread } = start()
      const failure = await ask({ do: what }).catch((error: unknown) => error)
      expect(failure).toMatchObject({ name: 'ThreadFailure', reason: 'fault' })
      expect(failure).not.toHaveProperty('cause')
      expect(String(failure)).not.toContain('SECRET')
      expect(thread.isAlive()).toBe(true)
      expect(await ask({ do: 'count' })).toBe(2)
    })
  }

  test('refuses a request that cannot be sent, and goes on', async () => {
    const { ask } = start()
    const text = (() => undefined) as unknown as string
    await expect(ask({ do: 'echo', text })).rejects.toThrow('could not be cloned')
    expect(await ask({ do: 'count' })).toBe(1)
  })

  test('prints nothing into the output of its process', async () => {
    const written = [vi.spyOn(process.stdout, 'write'), vi.spyOn(process.stderr, 'write')]
    expect(await start().ask({ do: 'print' })).toBe('printed')
    const lines = written.flatMap(({ mock }) => mock.calls).map(([chunk]) => String(chunk))
    vi.restoreAllMocks()
    expect(lines.filter((line) => line.includes('SECRET'))).toStrictEqual([])
  })

  test('has its entry beside its owner, with the same ending', () => {
    expect(threadEntry('a', 'file:///x/owner.ts').href).toBe('file:///x/a.ts')
    expect(threadEntry('a', 'file:///x/owner.js').href).toBe('file:///x/a.js')
  })
})

describe('a thread that fails', () => {
  const ways: Readonly<Record<string, Order>> = {
    exited: { do: 'exit' },
    crashed: { do: 'throw later' },
    memory_limit: { do: 'fill', what: 'heap' },
  }
  for (const [reason, order] of Object.entries(ways)) {
    test(`fails all that it owes and stays failed (${reason})`, async () => {
      const { thread, ask, failures } = start({ maxHeapMib: 16 })
      const outcomes = await Promise.allSettled([ask({ do: 'never reply' }), ask(order)])
      for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { name: 'ThreadFailure', reason } })
      expect(outcomes.map((outcome) => String((outcome as PromiseRejectedResult).reason)).join()).not.toContain(
        'SECRET',
      )
      expect(thread.isAlive()).toBe(false)
      await expect(ask({ do: 'count' })).rejects.toMatchObject({ reason })
      await thread.end()
      expect(failures.map((failure) => failure.reason)).toStrictEqual([reason])
    })
  }

  test('is one whose entry is missing, or whose start throws', async () => {
    const missing = start({ entry: new URL('./none.ts', import.meta.url) })
    await expect(missing.ask({ do: 'count' })).rejects.toThrow(/^a thread failed with (ERR_)?MODULE_NOT_FOUND$/)
    const failing = start({ data: { failStart: true } })
    await expect(failing.ask({ do: 'count' })).rejects.toMatchObject({
      reason: 'crashed',
      cause: { message: 'no start' },
    })
  })
})

describe('a limit', () => {
  test('of wall-clock time ends a thread that waits or spins', async () => {
    for (const order of ['never reply', 'spin'] as const) {
      const failure = { reason: 'wall_limit', message: 'the thread did not answer within 200 ms' }
      await expect(start().ask({ do: order }, { limits: { wallMs: 200 } })).rejects.toMatchObject(failure)
    }
  })

  test('of wall-clock time holds for a start that never ends, and counts again from when the thread is ready', async () => {
    const never = start({ data: { startMs: 600_000 } })
    await expect(never.ask({ do: 'count' }, { limits: { wallMs: 200 } })).rejects.toMatchObject({
      reason: 'wall_limit',
    })
  })

  test('of CPU time ends a thread that spins, not one that waits', async () => {
    const spinning = start()
    await expect(spinning.ask({ do: 'spin' }, { limits: { cpuMs: 100 } })).rejects.toMatchObject({
      reason: 'cpu_limit',
    })
    let readings = 0
    const waiting = start({ readCpuMs: () => Promise.resolve((readings += 1) && 7) })
    const waits = waiting.ask({ do: 'never reply' }, { limits: { cpuMs: 1 } })
    const closed = expect(waits).rejects.toMatchObject({ reason: 'closed' })
    await vi.waitFor(() => expect(readings).toBeGreaterThan(5), { timeout: 20_000 })
    await waiting.thread.end()
    await closed
  })

  test('of memory outside of the heap ends a thread', async () => {
    const filling = start().ask({ do: 'fill', what: 'buffers' }, { limits: { externalBytes: 16 * 1024 * 1024 } })
    await expect(filling).rejects.toMatchObject({ reason: 'memory_limit' })
  })
})

describe('an abort', () => {
  const left = new Error('the caller left')

  test('before the request: nothing is asked', async () => {
    const { ask } = start()
    await expect(ask({ do: 'count' }, { signal: AbortSignal.abort(left) })).rejects.toBe(left)
    expect(await ask({ do: 'count' })).toBe(1)
  })

  test('ends the thread, in the middle of its work', async () => {
    const { ask, thread } = start()
    await ask({ do: 'count' })
    const call = new AbortController()
    const [spinning, other] = [ask({ do: 'spin' }, { signal: call.signal }), ask({ do: 'count' })]
    const expected = Promise.all([
      expect(spinning).rejects.toBe(left),
      expect(other).rejects.toMatchObject({ reason: 'aborted' }),
    ])
    call.abort(left)
    await expected
    expect(thread.isAlive()).toBe(false)
  })

  test('that only cancels is told to the thread, which goes on', async () => {
    const { ask, thread } = start()
    const call = new AbortController()
    const given = ask({ do: 'never reply' }, { signal: call.signal, onAbort: 'cancel' })
    const expected = expect(given).rejects.toBe(left)
    await ask({ do: 'count' })
    call.abort(left)
    await expected
    expect(await ask({ do: 'cancelled?' })).toBe(1)
    expect(thread.isAlive()).toBe(true)
  })
})

describe('the end', () => {
  test('that is ordered fails what is owed, and is not a failure of the thread', async () => {
    const { thread, ask, failures } = start()
    const spinning = expect(ask({ do: 'spin' })).rejects.toMatchObject({ reason: 'closed' })
    await thread.end()
    await spinning
    await expect(ask({ do: 'count' })).rejects.toMatchObject({ reason: 'closed' })
    expect(failures).toStrictEqual([])
  })

  test('in order lets the thread answer, and close what it holds', async () => {
    const { thread, ask, news } = start()
    const last = ask({ do: 'echo', text: 'last' })
    const closed = thread.close()
    await expect(ask({ do: 'count' })).rejects.toMatchObject({ reason: 'closed' })
    expect(await last).toBe('last')
    await closed
    expect(news).toStrictEqual(['hello', 'closed'])
  })

  test('can be ordered twice, and of a thread that is gone', async () => {
    const { thread, ask } = start()
    await ask({ do: 'exit' }).catch(() => undefined)
    await thread.close()
    await thread.end()
    await thread.end()
  })
})

describe('the process of a thread', () => {
  const script = fileURLToPath(new URL('./process.ts', import.meta.url))
  const run = promisify(execFile)

  test('ends when the thread owes nothing, even if something was printed there', async () => {
    expect((await run(process.execPath, [script, 'idle'])).stdout).toBe('first ')
  })

  test('lives as long as the thread owes a reply', async () => {
    const { stdout } = await run(process.execPath, [script, 'working'])
    expect(stdout).toBe('first ThreadFailure: the thread did not answer within 300 ms')
  })
})
