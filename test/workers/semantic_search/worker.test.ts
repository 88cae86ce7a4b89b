import { describe, expect, test } from 'vitest'
import { start } from '../../../scripts/lab/worker-calls.ts'
import { ALICE } from './names.ts'
import { CAPABILITY, startWorker } from './started.ts'
import { DOCUMENTS, run, startEngine, stateFolder } from './texts.ts'

describe('search:semantic_documents', () => {
  test('indexes, searches and deletes, each caller for itself', async () => {
    const { ask } = await startWorker(await stateFolder())
    expect(await ask({ operation: 'index', documents: DOCUMENTS })).toStrictEqual({
      status: 200,
      body: { operation: 'index', indexed: 18, replaced: 0, documents: 18 },
    })
    const { status, body } = await ask({ operation: 'search', query: 'car', k: 2, filter: { subject: 'cars' } })
    expect(status).toBe(200)
    expect(body).toMatchObject({ semantic: 'ready', hits: [{ id: 'cars-4', metadata: { at: 4 } }, { id: 'cars-0' }] })
    expect((await ask({ operation: 'search', query: 'car' }, 'spiffe://crank.local/worker/bob')).body).toMatchObject({
      hits: [],
      documents: 0,
    })
    expect((await ask({ operation: 'delete', ids: ['cars-4'] })).body).toMatchObject({ deleted: 1, documents: 17 })
  })

  const wrong: Record<string, unknown> = {
    'no operation': {},
    'an unknown one': { operation: 'drop' },
    'no documents': { operation: 'index', documents: [] },
    'a document without text': { operation: 'index', documents: [{ id: 'a', text: '' }] },
    'more documents than a call may bring': {
      operation: 'index',
      documents: Array.from({ length: 101 }, (_, at) => ({ id: `${at}`, text: 'x' })),
    },
    'a text that is too long': { operation: 'index', documents: [{ id: 'a', text: 'x'.repeat(100_001) }] },
    'an id with a control character': { operation: 'index', documents: [{ id: 'a\0', text: 'x' }] },
    'an id with half a character': { operation: 'delete', ids: ['\ud800'] },
    'nested metadata': { operation: 'index', documents: [{ id: 'a', text: 'x', metadata: { a: {} } }] },
    'a bad metadata key': { operation: 'index', documents: [{ id: 'a', text: 'x', metadata: { "a'": 1 } }] },
    'no query': { operation: 'search' },
    'an empty query': { operation: 'search', query: '' },
    'a query that is too long': { operation: 'search', query: 'x'.repeat(1_001) },
    'k of 51': { operation: 'search', query: 'x', k: 51 },
    'members of two operations': { operation: 'search', query: 'x', ids: ['a'] },
    'an id given twice': {
      operation: 'index',
      documents: [
        { id: 'a', text: 'x' },
        { id: 'a', text: 'y' },
      ],
    },
  }
  for (const [what, input] of Object.entries(wrong)) {
    test(`refuses ${what}`, async () => {
      const { ask } = await startWorker(await stateFolder())
      expect(await ask(input)).toMatchObject({ status: 400, body: { error: 'INVALID_INPUT', retryable: false } })
    })
  }

  test('says which limit was exceeded', async () => {
    const { ask } = await startWorker(await stateFolder())
    const query = Array.from({ length: 65 }, (_, at) => `w${at}`).join(' ')
    await ask({ operation: 'index', documents: DOCUMENTS })
    expect(await ask({ operation: 'search', query })).toMatchObject({
      status: 413,
      body: { error: 'LIMIT_EXCEEDED', message: 'a query may have at most 64 different words', retryable: false },
    })
  })

  test('is unavailable while another process has the file', async () => {
    const dir = await stateFolder()
    const other = startEngine({ dir })
    await run(other, { operation: 'index', documents: DOCUMENTS })
    const { ask } = await startWorker(dir)
    const unavailable = { status: 503, body: { error: 'INDEX_UNAVAILABLE', retryable: true } }
    expect(await ask({ operation: 'search', query: 'car' })).toMatchObject(unavailable)
    await other.close()
    expect(await ask({ operation: 'search', query: 'car' })).toMatchObject({ status: 200 })
  })

  test('gives up when the caller leaves, and keeps nothing of the call', async () => {
    const { worker, ask } = await startWorker(await stateFolder())
    await ask({ operation: 'index', documents: [{ id: 'before', text: 'before' }] })
    const left = new AbortController()
    const text = 'the engine and the gearbox of the automobile '.repeat(400)
    const documents = Array.from({ length: 100 }, (_, at) => ({ id: `${at}`, text: `${text} ${at}` }))
    const answer = start(
      worker,
      CAPABILITY,
      { operation: 'index', documents },
      {
        callerLeft: left.signal,
        headers: { 'x-crank-caller': ALICE },
      },
    )
    setImmediate(() => left.abort())
    expect(await answer).toMatchObject({ status: 503 })
    await worker.slots.idle()
    expect((await ask({ operation: 'search', query: 'engine' })).body).toMatchObject({ hits: [], documents: 1 })
  })

  test('logs nothing of what it is given', async () => {
    const { worker, ask } = await startWorker(await stateFolder())
    await ask({ operation: 'index', documents: [{ id: 'Rumpelstiltskin', text: 'Rumpelstiltskin' }] })
    await ask({ operation: 'search', query: 'Rumpelstiltskin' })
    await ask({ operation: 'search', query: 'Rumpelstiltskin', Rumpelstiltskin: 1 })
    expect(worker.logged()).toHaveLength(3)
    expect(JSON.stringify(worker.logged())).not.toContain('Rumpelstiltskin')
  })
})
