// The thread that holds the models, with a thread that fails on demand: what fails is replaced, and nobody waits forever.
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  createModelThread,
  type ModelThread,
  type ModelThreadOptions,
} from '../../../src/workers/image_classifier/model-thread.ts'
import type { Kind } from '../../../src/workers/image_classifier/picture.ts'
import { DO } from './fake-thread.ts'

const ENTRY = new URL('./fake-thread.ts', import.meta.url)
const opened: ModelThread[] = []
afterEach(() => Promise.all(opened.splice(0).map((models) => models.close())))

function open(options: ModelThreadOptions = {}) {
  const models = createModelThread({ entry: ENTRY, ...options })
  opened.push(models)
  const spans: string[] = []
  const look = async (what: number, { kind = 'objects', signal }: { kind?: Kind; signal?: AbortSignal } = {}) => {
    const picture = { pixels: Uint8Array.of(what, 0, 0), width: 1, height: 1 }
    const [finding] = await models.look(kind, picture, {
      signal: signal ?? new AbortController().signal,
      inSpan: async (name, run) => {
        spans.push(name)
        return run()
      },
    })
    return finding!.label
  }
  return { models, look, spans }
}

const failedLook = { name: 'ModelError', stage: 'look' }
const failedLoad = { name: 'ModelError', stage: 'load' }
// One load and one look in a thread that was just started.
const FIRST = 'task 2'

describe('the model thread', () => {
  test('loads a model at its first use only, in a span of its own', async () => {
    const { look, spans } = open()
    await look(DO.answer)
    await look(DO.answer)
    expect(spans).toStrictEqual(['model.load', 'image.objects', 'image.objects'])
  })

  const failures = { 'that ends': DO.exit, 'that throws': DO.throwLater, 'that refuses': DO.refuse }
  for (const [what, order] of Object.entries(failures)) {
    test(`replaces a thread ${what}, and loads its models again`, async () => {
      const { look, spans } = open()
      await look(DO.answer)
      await expect(look(order)).rejects.toMatchObject(failedLook)
      expect(await look(DO.answer)).toBe(FIRST)
      expect(spans.filter((name) => name === 'model.load')).toHaveLength(2)
    })
  }

  test('replaces a thread that hangs, when its time is over', async () => {
    const { look } = open({ maxLookMs: 300 })
    const error = (await look(DO.hang).catch((cause: unknown) => cause)) as Error
    expect(error).toMatchObject(failedLook)
    expect(error.cause).toMatchObject({ message: 'the thread did not answer within 300 ms' })
    await vi.waitFor(async () => expect(await look(DO.answer)).toBe(FIRST), { timeout: 20_000 })
  })

  test('ends a thread that fills its heap, and only that thread', async () => {
    const { look } = open({ maxHeapMb: 16 })
    await expect(look(DO.fillHeap)).rejects.toMatchObject(failedLook)
    expect(await look(DO.answer)).toBe(FIRST)
  })

  test('replaces a thread that holds too much, after its answer', async () => {
    const { look } = open({ maxHeldBytes: 9_999 })
    expect(await look(DO.holdMuch)).toBe(FIRST)
    expect(await look(DO.answer)).toBe(FIRST)
    expect(await look(DO.answer)).toBe('task 3')
  })

  for (const kind of ['faces', 'nsfw'] as const) {
    test(`tells a model that cannot be loaded from one that fails (${kind}), and goes on with the others`, async () => {
      const { look } = open()
      await expect(look(DO.answer, { kind })).rejects.toMatchObject(failedLoad)
      await expect(look(DO.answer)).resolves.toBe(FIRST)
    })
  }

  test('gives up a load that takes too long', async () => {
    const { look } = open({ maxLoadMs: 2000 })
    await expect(look(DO.answer, { kind: 'scenes' })).rejects.toMatchObject(failedLoad)
    await vi.waitFor(async () => expect(await look(DO.answer)).toBe(FIRST), { timeout: 60_000 })
  })

  test('cannot load from an entry that is not there', async () => {
    const { look } = open({ entry: new URL('./nothing.ts', import.meta.url) })
    await expect(look(DO.answer)).rejects.toMatchObject(failedLoad)
  })

  test('one failing call leaves those that wait alone', async () => {
    const { look } = open()
    const outcomes = await Promise.allSettled([look(DO.answer), look(DO.exit), look(DO.answer), look(DO.answer)])
    expect(outcomes.map((outcome) => ('value' in outcome ? outcome.value : 'failed'))).toStrictEqual([
      FIRST,
      'failed',
      FIRST,
      'task 3',
    ])
  })

  test('a call that is given up while it waits never reaches the thread', async () => {
    const { look, spans } = open()
    const [caller, gone] = [new AbortController(), new Error('gone')]
    const first = look(DO.answer)
    const second = look(DO.exit, { signal: caller.signal })
    const third = look(DO.answer)
    caller.abort(gone)
    await expect(second).rejects.toBe(gone)
    expect([await first, await third]).toStrictEqual([FIRST, 'task 3'])
    expect(spans.filter((name) => name === 'image.objects')).toHaveLength(2)
  })

  test('a call that is given up before it begins is not begun', async () => {
    const { look, spans } = open()
    await expect(look(DO.answer, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone')
    expect(spans).toStrictEqual([])
  })

  test('what the thread prints goes nowhere', async () => {
    const written = vi.spyOn(process.stdout, 'write')
    const warned = vi.spyOn(process.stderr, 'write')
    const { look } = open()
    await look(DO.print)
    await look(DO.answer)
    const lines = [...written.mock.calls, ...warned.mock.calls].map(([chunk]) => String(chunk))
    vi.restoreAllMocks()
    expect(lines.filter((line) => /a banner|a warning/.test(line))).toStrictEqual([])
  })

  test('closing ends a call in work, and no thread is started after it', async () => {
    const { models, look } = open()
    await look(DO.answer)
    const hanging = look(DO.hang)
    const settled = expect(hanging).rejects.toMatchObject({ name: 'ModelError' })
    await models.close()
    await settled
    await expect(look(DO.answer)).rejects.toMatchObject({ ...failedLoad, message: 'the thread pool is closed' })
  })
})
