import { execFile } from 'node:child_process'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ToPdfTask } from '../../../src/workers/document_conversion/task.ts'
import {
  createConversionThreads,
  type ConversionThreads,
  type ConversionThreadsOptions,
} from '../../../src/workers/document_conversion/threads.ts'
import { createDocumentConversion } from '../../../src/workers/document_conversion/worker.ts'
import { call, createTestWorker } from '../../../scripts/lab/worker-calls.ts'
import { base64 } from './conversions.ts'

const HOSTILE = new URL('threads/hostile.ts', import.meta.url)
const LIMITS = { cpuLimitMs: 60_000, wallLimitMs: 600_000, memoryLimitMb: 64 }
const never = new AbortController().signal

let pool: ConversionThreads
afterEach(() => pool.close())

function open(options: Partial<ConversionThreadsOptions> = {}): ConversionThreads {
  pool = createConversionThreads({ entry: HOSTILE, threads: 1, ...LIMITS, ...options })
  return pool
}

function task(deed: string): ToPdfTask {
  const options = { pageSize: 'a4', title: undefined, createdMs: undefined } as const
  return { kind: 'to_pdf', format: 'text', bytes: new Uint8Array(new TextEncoder().encode(deed)), options }
}

async function doing(deed: string, signal = never): Promise<string> {
  return Buffer.from((await pool.convert(task(deed), signal)).bytes).toString()
}

describe('a task is ended', () => {
  test('when it takes more CPU time than the limit, which is the fault of the document', async () => {
    open({ cpuLimitMs: 200 })
    await expect(doing('never ends')).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: 'the conversion takes more than 200 ms of CPU time; split the document',
    })
  })

  test('when it does not end in time, which is the fault of a busy node', async () => {
    // A thread that waits uses next to no CPU time, as one that is given none.
    open({ cpuLimitMs: 20_000, wallLimitMs: 200 })
    await expect(doing('waits')).rejects.toMatchObject({
      code: 'CONVERSION_TIMEOUT',
      message: 'the conversion did not end within 200 ms, because this node is busy; try again',
    })
  })

  test('for its own CPU time, not for that of the tasks before it in the same thread', async () => {
    let usedMs = 0
    open({ cpuLimitMs: 20_000, readCpuMs: () => Promise.resolve((usedMs += 19_000)) })
    await doing('first')
    const busy = doing('waits')
    await expect(busy).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    // Asked at the start of each task, then twice in the last: 38 s for the second task, 76 s of the thread.
    expect(usedMs).toBeGreaterThanOrEqual(4 * 19_000)
  })

  test('never while a busy node gives it no CPU time, however long that lasts', async () => {
    let readings = 0
    open({ cpuLimitMs: 1, readCpuMs: () => Promise.resolve((readings += 1) && 7) })
    const call = new AbortController()
    const waiting = doing('waits', call.signal)
    const expected = expect(waiting).rejects.toThrow('the caller left')
    await vi.waitFor(() => expect(readings).toBeGreaterThan(5), { timeout: 20_000 })
    call.abort(new Error('the caller left'))
    await expected
  })

  for (const what of ['heap', 'buffers']) {
    test(`when it fills its ${what}`, async () => {
      open()
      await expect(doing(`fills its ${what}`)).rejects.toMatchObject({
        code: 'LIMIT_EXCEEDED',
        message: 'the conversion needs more than 64 MiB of memory',
      })
    })
  }

  test('when its call is aborted, in the middle of its work', async () => {
    open()
    const call = new AbortController()
    const ended = doing('never ends', call.signal)
    const expected = expect(ended).rejects.toThrow('the caller left')
    await turn()
    call.abort(new Error('the caller left'))
    await expected
  })

  for (const deed of ['leaves', 'throws where nobody catches', 'prints']) {
    test(`when its thread ${deed}, and says nothing of the document`, async () => {
      open()
      await expect(doing(deed)).rejects.toMatchObject({
        name: 'ThreadFailure',
        message: expect.not.stringContaining('SECRET') as string,
      })
    })
  }
})

describe('afterwards', () => {
  for (const deed of ['leaves', 'throws where nobody catches', 'fills its heap']) {
    test(`there is another thread for the next task, when the one before ${deed}`, async () => {
      open()
      const [first, second] = await Promise.allSettled([doing(deed), doing('hello')])
      expect(first.status).toBe('rejected')
      expect(second).toMatchObject({ value: 'hello' })
    })
  }
})

describe('tasks that wait', () => {
  test('are done in their order', async () => {
    open()
    const done: string[] = []
    await Promise.all(['a', 'b', 'c'].map(async (deed) => done.push(await doing(deed))))
    expect(done).toStrictEqual(['a', 'b', 'c'])
  })

  test('leave when their call is aborted, and nothing else does', async () => {
    open()
    const call = new AbortController()
    const first = doing('a')
    const expected = expect(doing('never ends', call.signal)).rejects.toThrow('the caller left')
    const third = doing('c')
    call.abort(new Error('the caller left'))
    await expected
    expect(await Promise.all([first, third])).toStrictEqual(['a', 'c'])
  })

  test('fail when the pool is closed, as do those that run', async () => {
    open()
    const running = expect(doing('waits')).rejects.toThrow('the thread is closed')
    const waiting = expect(doing('b')).rejects.toThrow('the thread pool is closed')
    await pool.close()
    await Promise.all([running, waiting])
    await expect(doing('c')).rejects.toThrow('the thread pool is closed')
  })

  test('are not begun when their call is over', async () => {
    open()
    await expect(doing('a', AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
  })
})

test('a thread without work does not keep its process alive', async () => {
  open()
  const script = fileURLToPath(new URL('threads/one-task.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [script])
  expect(stdout).toBe('1')
})

test('a thread that cannot start is a failure, not a wait', async () => {
  open({ entry: new URL('threads/none.ts', import.meta.url) })
  await expect(doing('a')).rejects.toThrow(/^a thread failed with (ERR_)?MODULE_NOT_FOUND$/)
})

describe('the worker', () => {
  test('answers CONVERSION_FAILED or PARSING_FAILED for a thread that fails, and logs where', async () => {
    const worker = await createTestWorker(createDocumentConversion({ threads: open() }))
    const document = { document_data: base64('leaves'), source_format: 'text' }
    expect((await call(worker, 'convert:document_to_pdf', document)).json()).toStrictEqual({
      error: 'CONVERSION_FAILED',
      message: 'the conversion failed',
      retryable: true,
    })
    const mail = await call(worker, 'convert:email_to_text', { raw_email: 'leaves' })
    expect(mail.status).toBe(500)
    expect(mail.json()).toMatchObject({ error: 'PARSING_FAILED', retryable: true })
    expect(worker.logged().filter(({ event }) => event === 'conversion_failed')).toHaveLength(2)
  })

  for (const [capability, input] of Object.entries({
    document_to_pdf: { document_data: base64('waits'), source_format: 'text' },
    email_to_text: { raw_email: 'waits' },
  })) {
    test(`answers that ${capability} may be tried again when the node is too busy`, async () => {
      const worker = await createTestWorker(createDocumentConversion({ threads: open({ wallLimitMs: 200 }) }))
      const answer = await call(worker, `convert:${capability}`, input)
      expect(answer.status).toBe(503)
      expect(answer.json()).toMatchObject({ error: 'CONVERSION_TIMEOUT', retryable: true })
    })
  }

  test('ends the work of a caller who leaves, and frees its place', async () => {
    const worker = await createTestWorker(createDocumentConversion({ threads: open() }))
    const left = new AbortController()
    const document = { document_data: base64('never ends'), source_format: 'text' }
    const answer = call(worker, 'convert:document_to_pdf', document, { callerLeft: left.signal })
    await vi.waitFor(() => expect(worker.slots.inFlight()).toBe(1), { timeout: 20_000 })
    left.abort()
    expect((await answer).json()).toMatchObject({ error: 'CALLER_LEFT' })
    await worker.slots.idle()
  })

  test('is busy beyond its number of calls', async () => {
    const worker = await createTestWorker(createDocumentConversion({ threads: open() }))
    const left = new AbortController()
    const document = { document_data: base64('waits'), source_format: 'text' }
    const waiting = Array.from({ length: 8 }, () =>
      call(worker, 'convert:document_to_pdf', document, { callerLeft: left.signal }),
    )
    expect((await call(worker, 'convert:document_to_pdf', document)).json()).toMatchObject({ error: 'BUSY' })
    left.abort()
    await Promise.all(waiting)
  })

  test('measures its time with the clock that it is given', async () => {
    let clockMs = 0
    const definition = createDocumentConversion({ threads: open(), monotonic: () => (clockMs += 2) })
    const worker = await createTestWorker(definition)
    const document = { document_data: base64('hello'), source_format: 'text' }
    const answer = await call(worker, 'convert:document_to_pdf', document)
    expect(answer.json()).toMatchObject({ converted_data: base64('hello'), conversion_time_ms: 2 })
    await definition.close?.()
  })
})
