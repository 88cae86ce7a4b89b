import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { ALICE, BOB } from './names.ts'
import { CARS, DOCUMENTS, MEDICINE, run, startEngine, stateFolder } from './texts.ts'

const index = (documents: { id: string; text: string }[]) => ({ operation: 'index', documents }) as const
const search = (query: string, more: { k?: number; filter?: Record<string, string | number | boolean> } = {}) =>
  ({ operation: 'search', query, ...more }) as const
const remove = (...ids: string[]) => ({ operation: 'delete', ids }) as const

async function filledEngine() {
  const engine = startEngine({ dir: await stateFolder() })
  await run(engine, index(DOCUMENTS))
  return engine
}

describe('what is found', () => {
  const synonyms: [query: string, other: string, texts: string][] = [
    ['car', 'automobile', 'cars'],
    ['automobile', 'car', 'cars'],
    ['loaf', 'dough', 'bread'],
  ]
  for (const [query, other, texts] of synonyms) {
    test(`"${query}" finds a text that says "${other}" instead, which words alone do not`, async () => {
      const { hits, semantic } = await run(await filledEngine(), search(query, { k: 6 }))
      expect(semantic).toBe('ready')
      const byMeaning = hits.filter(({ why }) => why.lexical_rank === undefined)
      expect(byMeaning.map(({ snippet }) => snippet).join()).toContain(other)
      expect(hits.map(({ id }) => id.split('-')[0])).toStrictEqual(hits.map(() => texts))
      for (const { why } of byMeaning) expect(why).toMatchObject({ matched_terms: [], semantic_share: 1 })
    })
  }

  test('a text with the word goes before one that only means it', async () => {
    const { hits } = await run(await filledEngine(), search('car', { k: 6 }))
    const withWord = hits.map(({ why }) => why.matched_terms.length > 0)
    expect(withWord).toStrictEqual([...withWord].sort().reverse())
    expect(withWord).toContain(false)
  })

  test('each hit shows its own text, and marks the words that matched', async () => {
    const { hits } = await run(await filledEngine(), search('engine brakes', { k: 6 }))
    const texts = new Map(DOCUMENTS.map(({ id, text }) => [id, text]))
    expect(hits.length).toBeGreaterThan(2)
    for (const { id, snippet, highlights, why } of hits) {
      expect(texts.get(id)).toBe(snippet)
      const marked = highlights.map(({ start, end }) => snippet.slice(start, end).toLowerCase())
      expect(marked.sort()).toStrictEqual(
        [...(why.matched_terms.length > 0 ? why.matched_terms : why.related_terms)].sort(),
      )
    }
  })

  test('says why: words, ranks, similarity, and the share of the meaning', async () => {
    const { hits } = await run(await filledEngine(), search('Physicians', { k: 1 }))
    expect(hits).toMatchObject([
      {
        score: 1,
        why: {
          matched_terms: ['Physicians'],
          related_terms: ['infections', 'medicine'],
          lexical_rank: 1,
          semantic_rank: 1,
          semantic_share: 0.3333,
          summary: expect.stringMatching(
            /^has “Physicians” \(rank 1 of the word search\); near to the query, by “infections”/,
          ),
        },
      },
    ])
  })

  test('finds English words in their other forms, and Latin ones without their accents, others as they are', async () => {
    const engine = startEngine({ dir: await stateFolder() })
    const texts = { running: 'They were running home', cafe: 'Im Café sitzen', greek: 'Η γάτα κοιμάται' }
    await run(engine, index(Object.entries(texts).map(([id, text]) => ({ id, text }))))
    for (const [query, id] of [
      ['runs', 'running'],
      ['CAFE', 'cafe'],
      ['ΓΆΤΑ', 'greek'],
    ] as const) {
      expect((await run(engine, search(query))).hits.map((hit) => hit.id)).toStrictEqual([id])
    }
  })

  test('only what all of the filter applies to, by value and type', async () => {
    const engine = await filledEngine()
    const ids = async (filter: Record<string, string | number | boolean>) =>
      (await run(engine, search('patient nurse doctor', { k: 50, filter }))).hits.map(({ id }) => id)
    expect(await ids({ subject: 'medicine', at: 0 })).toStrictEqual(['medicine-0'])
    expect(await ids({ subject: 'cars' })).toStrictEqual([])
    expect(await ids({ at: '0' })).toStrictEqual([])
    expect(await ids({ other: true })).toStrictEqual([])
  })

  test('nothing for a query without words, and not what only has the stop words', async () => {
    const engine = await filledEngine()
    for (const query of ['?!', '🙂', ' ', '"', 'the and of in']) {
      const { hits } = await run(engine, search(query, { k: 50 }))
      expect(hits.every(({ why }) => why.matched_terms.length > 0)).toBe(true)
    }
    const { hits } = await run(engine, search('the zeppelin'))
    expect(hits).toStrictEqual([])
  })

  test('with too few texts to learn from, by words only', async () => {
    const engine = startEngine({ dir: await stateFolder() })
    await run(
      engine,
      index([
        { id: 'a', text: 'one car' },
        { id: 'b', text: 'one bus' },
      ]),
    )
    const { hits, semantic } = await run(engine, search('car'))
    expect(semantic).toBe('off')
    expect(hits).toMatchObject([{ id: 'a', why: { matched_terms: ['car'], related_terms: [], semantic_share: 0 } }])
  })

  test('texts that share no word are near to nothing', async () => {
    const engine = startEngine({ dir: await stateFolder() })
    await run(
      engine,
      index(Array.from({ length: 12 }, (_, at) => ({ id: `${at}`, text: `alpha${at} beta${at} gamma${at}` }))),
    )
    const { hits } = await run(engine, search('alpha3', { k: 50 }))
    expect(hits.map(({ id }) => id)).toStrictEqual(['3'])
  })
})

describe('what is kept', () => {
  test('a document of the same id is replaced, with its words and its metadata', async () => {
    const engine = await filledEngine()
    const replacement = { id: 'cars-0', text: 'Nothing but zeppelins', metadata: { subject: 'air' } }
    expect(await run(engine, index([replacement]))).toStrictEqual({
      operation: 'index',
      indexed: 1,
      replaced: 1,
      documents: DOCUMENTS.length,
    })
    expect((await run(engine, search('zeppelin'))).hits).toMatchObject([{ id: 'cars-0', metadata: { subject: 'air' } }])
    const { hits } = await run(engine, search('car', { k: 50 }))
    expect(hits.map(({ id }) => id)).not.toContain('cars-0')
  })

  test('what is deleted is not found, by word or by meaning, and is not in the file any more', async () => {
    const dir = await stateFolder()
    const engine = startEngine({ dir })
    await run(engine, index([...DOCUMENTS, { id: 'secret', text: 'The automobile of Rumpelstiltskin has an engine.' }]))
    await run(engine, search('car'))
    expect(await run(engine, remove('secret', 'secret', 'never there'))).toMatchObject({ deleted: 1, documents: 18 })
    const { hits, semantic } = await run(engine, search('Rumpelstiltskin automobile', { k: 50 }))
    expect(semantic).toBe('ready')
    expect(hits.map(({ id }) => id)).not.toContain('secret')
    await engine.close()
    for (const name of await readdir(dir)) expect(await textOf(join(dir, name))).not.toMatch(/rumpelstiltskin/i)
  })

  test('a caller sees only its own documents, and is not ranked by those of others', async () => {
    const dir = await stateFolder()
    const engine = startEngine({ dir })
    await run(
      engine,
      index([
        { id: 'a', text: 'car' },
        { id: 'b', text: 'bus bus car' },
      ]),
      ALICE,
    )
    const before = await run(engine, search('car bus'), ALICE)
    await run(engine, index(Array.from({ length: 50 }, (_, at) => ({ id: `${at}`, text: 'bus car' }))), BOB)
    expect(await run(engine, search('car bus'), ALICE)).toStrictEqual(before)
    expect(await run(engine, remove('a'), BOB)).toMatchObject({ deleted: 0, documents: 50 })
    expect((await run(engine, search('car'), 'spiffe://crank.local/worker/carol')).hits).toStrictEqual([])
    expect(await readdir(dir)).toHaveLength(4) // two files and their logs: asking makes none
  })

  test('everything is there again in the next process, and ranks the same', async () => {
    const dir = await stateFolder()
    const first = startEngine({ dir })
    await run(first, index(DOCUMENTS))
    const before = await run(first, search('car', { k: 18 }))
    await first.close()
    expect(await run(startEngine({ dir }), search('car', { k: 18 }))).toStrictEqual(before)
  })

  test('the same documents rank the same, in however many calls they came', async () => {
    const [one, other] = [startEngine({ dir: await stateFolder() }), startEngine({ dir: await stateFolder() })]
    await run(one, index(DOCUMENTS))
    for (const document of DOCUMENTS) await run(other, index([document]))
    expect(await run(other, search('car'))).toStrictEqual(await run(one, search('car')))
  })

  test('files are for their owner only', async () => {
    const dir = await stateFolder()
    await run(startEngine({ dir }), index(DOCUMENTS))
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    const modes = (await readdir(dir)).map(async (name) => (await stat(join(dir, name))).mode & 0o777)
    expect(await Promise.all(modes)).toStrictEqual([0o600, 0o600])
  })

  test('more callers than files are kept open lose nothing', async () => {
    const engine = startEngine({ dir: await stateFolder(), maxOpen: 2 })
    const callers = Array.from({ length: 6 }, (_, at) => `spiffe://crank.local/worker/w${at}`)
    for (const caller of callers) await run(engine, index([{ id: caller, text: 'mine' }]), caller)
    const found = await Promise.all(callers.map(async (caller) => (await run(engine, search('mine'), caller)).hits))
    expect(found.map((hits) => hits.map(({ id }) => id))).toStrictEqual(callers.map((caller) => [caller]))
  })
})

describe('while a model is learnt', () => {
  test('searches go on with the model before it, which places the documents that are new', async () => {
    const engine = startEngine({ dir: await stateFolder(), waitUpTo: 0, quietMs: 1 })
    await run(engine, index(DOCUMENTS.slice(1)))
    await expect.poll(async () => (await run(engine, search('car'))).semantic).toBe('ready')
    await run(engine, index([{ id: 'new', text: 'An engine, brakes and a gearbox in the garage.' }]))
    const { hits, semantic } = await run(engine, search('automobile', { k: 18 }))
    expect(semantic).toBe('catching_up')
    expect(hits.map(({ id }) => id)).toContain('new')
    await expect.poll(async () => (await run(engine, search('car'))).semantic).toBe('ready')
  })

  test('it is learnt without a search, when the documents have not changed for a while', async () => {
    const dir = await stateFolder()
    const first = startEngine({ dir, quietMs: 1 })
    await run(first, index(DOCUMENTS))
    // The list of a model's terms, in the log of the file.
    await expect.poll(() => readdir(dir).then((names) => textOf(join(dir, names.at(-1)!)))).toMatch(/("[a-z]+",){5}/)
    await first.close()
    // With waitUpTo 0 nothing waits for a model: this one was in the file.
    const second = startEngine({ dir, waitUpTo: 0 })
    expect(await run(second, search('car'))).toMatchObject({ semantic: 'ready' })
  })

  test('calls of all kinds at once leave what they would leave one after the other', async () => {
    const engine = startEngine({ dir: await stateFolder(), quietMs: 0, waitUpTo: 0 })
    const calls = DOCUMENTS.flatMap((document) => [
      run(engine, index([document])),
      run(engine, search('engine patient')),
      run(engine, index([{ id: `${document.id}-copy`, text: document.text }])),
      run(engine, remove(`${document.id}-copy`)),
    ])
    await Promise.all(calls)
    expect(await run(engine, search('engine', { k: 50 }))).toMatchObject({ documents: DOCUMENTS.length })
  })
})

describe('what is refused', () => {
  const limits = { documents: 3, textLength: 100, callers: 2 }
  const four = ['a', 'b', 'c', 'd'].map((id) => ({ id, text: 'word' }))

  test('more documents than one caller may keep, and then none of them is kept', async () => {
    const engine = startEngine({ dir: await stateFolder(), limits })
    await expect(run(engine, index(four))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: 'one caller may keep at most 3 documents',
    })
    expect(await run(engine, index(four.slice(1)))).toMatchObject({ replaced: 0, documents: 3 })
  })

  test('more text than one caller may keep, or one call may bring', async () => {
    const engine = startEngine({ dir: await stateFolder(), limits })
    await expect(run(engine, index([{ id: 'a', text: 'x'.repeat(101) }]))).rejects.toMatchObject({
      message: 'the texts of one caller are limited to 100 characters',
    })
    const long = Array.from({ length: 21 }, (_, at) => ({ id: `${at}`, text: 'x'.repeat(100_000) }))
    await expect(run(engine, index(long))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: 'the texts of one call are limited to 2000000 characters',
    })
  })

  test('a third caller where two may keep documents; it can still ask', async () => {
    const engine = startEngine({ dir: await stateFolder(), limits })
    await run(engine, index([{ id: 'a', text: 'a' }]), ALICE)
    await run(engine, index([{ id: 'a', text: 'a' }]), BOB)
    const carol = 'spiffe://crank.local/worker/carol'
    await expect(run(engine, index([{ id: 'a', text: 'a' }]), carol)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect(await run(engine, search('a'), carol)).toMatchObject({ documents: 0 })
  })

  test('an id that one call gives twice, and a query of too many words', async () => {
    const engine = await filledEngine()
    await expect(run(engine, index([four[0]!, four[0]!]))).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: 'duplicate input/documents/1/id',
    })
    const words = Array.from({ length: 65 }, (_, at) => `w${at}`).join(' ')
    await expect(run(engine, search(words))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  })

  test('a file that another process has, until it lets go', async () => {
    const dir = await stateFolder()
    const [first, second] = [startEngine({ dir }), startEngine({ dir })]
    await run(first, index(DOCUMENTS))
    await expect(run(second, search('car'))).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' })
    await first.close()
    expect(await run(second, search('car'))).toMatchObject({ documents: 18 })
  })

  test('a damaged file, which is left as it is', async () => {
    const dir = await stateFolder()
    const first = startEngine({ dir })
    await run(first, index(DOCUMENTS))
    await first.close()
    const [file = ''] = await readdir(dir)
    await writeFile(join(dir, file), 'not a database'.repeat(1000))
    await expect(run(startEngine({ dir }), search('car'))).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' })
    expect(await textOf(join(dir, file))).toContain('not a database')
  })

  test('nothing for a damaged model: it is learnt again', async () => {
    for (const damage of [`terms = '{'`, `idf = x'00'`, 'dims = dims + 1']) {
      const dir = await stateFolder()
      const first = startEngine({ dir })
      await run(first, index(DOCUMENTS))
      const before = await run(first, search('car', { k: 18 }))
      await first.close()
      const [file = ''] = await readdir(dir)
      const database = new DatabaseSync(join(dir, file))
      database.exec(`UPDATE model SET ${damage}`)
      database.close()
      expect(await run(startEngine({ dir }), search('car', { k: 18 }))).toStrictEqual(before)
    }
  })

  test('a file that is damaged in the middle', async () => {
    const dir = await stateFolder()
    const first = startEngine({ dir })
    await run(first, index(DOCUMENTS))
    await first.close()
    const [file = ''] = await readdir(dir)
    const bytes = await readFile(join(dir, file))
    await writeFile(join(dir, file), bytes.fill(0xaa, 4096))
    await expect(run(startEngine({ dir }), search('car'))).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' })
  })

  test('everything after it was closed', async () => {
    const engine = await filledEngine()
    await engine.close()
    await expect(run(engine, search('car'))).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' })
  })

  test('a call that is cancelled in the middle changes nothing', async () => {
    const engine = await filledEngine()
    const cancelled = new AbortController()
    const documents = Array.from({ length: 15 }, (_, at) => ({
      id: `${at}`,
      text: `${MEDICINE.join(' ')} ${at} `.repeat(300),
    }))
    const call = engine.run(ALICE, index(documents), cancelled.signal)
    setImmediate(() => cancelled.abort(new Error('left')))
    await expect(call).rejects.toThrow('left')
    expect(await run(engine, search(CARS[0]!))).toMatchObject({ documents: DOCUMENTS.length })
  })
})

function textOf(file: string): Promise<string> {
  return readFile(file, 'latin1')
}
