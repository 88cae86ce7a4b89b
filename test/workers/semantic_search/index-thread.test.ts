import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createIndexThread } from '../../../src/workers/semantic_search/index-thread.ts'
import { ALICE } from './names.ts'
import { startWorker } from './started.ts'
import { DOCUMENTS, run, startEngine, stateFolder } from './texts.ts'

describe('the index thread', () => {
  const entry = new URL('./broken-thread.ts', import.meta.url)

  test('that breaks down fails its calls, and the next call gets another', async () => {
    const dir = await stateFolder()
    const { ask } = await startWorker(dir, createIndexThread({ dir, entry }))
    const search = { operation: 'search', query: 'break' }
    for (const { status, body } of [...(await Promise.all([ask(search), ask(search)])), await ask(search)]) {
      expect({ status, body }).toMatchObject({ status: 503, body: { error: 'INDEX_UNAVAILABLE' } })
    }
  })

  test('that runs out of memory fails its calls, and keeps what was kept', async () => {
    const dir = await stateFolder()
    const small = createIndexThread({ dir, maxHeapMb: 16 })
    onTestFinished(() => small.close())
    await run(small, { operation: 'index', documents: DOCUMENTS })
    const words = Array.from({ length: 15_000 }, (_, at) => at.toString(36)).join(' ')
    const documents = Array.from({ length: 20 }, (_, at) => ({ id: `${at}`, text: words }))
    await expect(run(small, { operation: 'index', documents })).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' })
    expect(await run(small, { operation: 'search', query: 'car' })).toMatchObject({ documents: 18 })
  })

  test('with an error that nobody foresaw is a fault of the worker, without its text', async () => {
    const dir = await stateFolder()
    const { ask } = await startWorker(dir, createIndexThread({ dir, entry }))
    const { status, body } = await ask({ operation: 'search', query: 'car' })
    expect({ status, error: body['error'] }).toStrictEqual({ status: 500, error: 'INTERNAL' })
    expect(JSON.stringify(body)).not.toContain('broken')
  })

  test('is not started for a call that is over, or after the end', async () => {
    const engine = createIndexThread({ dir: await stateFolder() })
    const request = { operation: 'search', query: 'car' } as const
    await expect(engine.run(ALICE, request, AbortSignal.abort(new Error('left')))).rejects.toThrow('left')
    await engine.close()
    await expect(run(engine, request)).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' })
  })
})

test('an index thread without work does not keep its process alive', async () => {
  const script = join(import.meta.dirname, 'one-search-process.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [script, await stateFolder()])
  expect(stdout).toBe('2 documents')
})

test('every document that was said to be kept is there after SIGKILL', async () => {
  const dir = await stateFolder()
  const child = spawn(process.execPath, [join(import.meta.dirname, 'indexing-process.ts'), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  let last = -1
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line)
    if (last === 30) child.kill('SIGKILL')
  }
  await ended
  const engine = startEngine({ dir })
  const { documents, semantic } = await run(engine, { operation: 'search', query: 'gearbox' })
  expect(semantic).toBe('ready')
  expect(documents).toBeGreaterThan(last)
  for (const at of [0, last]) {
    const { hits } = await run(engine, { operation: 'search', query: `number${at}` })
    expect(hits[0]).toMatchObject({ id: `d${at}`, why: { matched_terms: [`number${at}`] } })
  }
})
