// manage:sonnet_zettel through the runtime: each operation, each refusal.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createZettelManager } from '../../../src/workers/zettel_manager/worker.ts'
import { ANNA, createBench, type Bench } from '../zettel/place.ts'

let bench: Bench
beforeEach(async () => {
  bench = await createBench(createZettelManager, 'manage:sonnet_zettel')
  await bench.start()
})
afterEach(() => bench.close())

async function store(input: object): Promise<string> {
  const { status, body, text } = await bench.ask({ operation: 'store', ...input })
  expect(status, text).toBe(200)
  bench.elapsedMs += 1
  return body.zettel_id
}
async function ask(operation: string, input: object = {}) {
  const { status, body, text } = await bench.ask({ operation, ...input })
  expect(status, text).toBe(200)
  return body
}
const idsOf = (zettels: { zettel_id: string }[]) => zettels.map(({ zettel_id }) => zettel_id)

describe('store and retrieve', () => {
  test('give back what was stored', async () => {
    const content = '# On Trust\r\n\r\nNever trust.  \r\n'
    const stored = await bench.ask({
      operation: 'store',
      content,
      category: 'Security',
      tags: ['zero', 'trust'],
      source_agent: 'sonnet',
    })
    const zettel = {
      zettel_id: '01M86PTPG0040G2081040G2081',
      title: 'On Trust',
      category: 'Security',
      tags: ['zero', 'trust'],
      source_agent: 'sonnet',
      stored_by: ANNA,
      shared: false,
      created_at: '2026-11-24T12:00:00.000Z',
    }
    const around = { links: [], backlinks: [] }
    const head = { success: true, zettel_id: zettel.zettel_id }
    expect(stored.body).toStrictEqual({ ...head, message: 'stored', data: { zettel, ...around } })
    expect(await ask('retrieve', { zettel_id: zettel.zettel_id.toLowerCase() })).toStrictEqual({
      ...head,
      message: 'found',
      data: { zettel: { ...zettel, content }, ...around },
    })
  })

  test('say that there is no such zettel', async () => {
    const { status, body } = await bench.ask({ operation: 'retrieve', zettel_id: 'none' })
    expect(status).toBe(404)
    expect(body).toStrictEqual({
      error: 'ZETTEL_NOT_FOUND',
      message: 'this caller has no such zettel',
      retryable: false,
    })
  })
})

describe('list', () => {
  test('gives the newest first, page by page, and how many there are', async () => {
    const ids: string[] = []
    for (const content of ['one', 'two', 'three']) ids.unshift(await store({ content }))
    const first = await ask('list', { limit: 2 })
    expect(first).toMatchObject({ success: true, message: '2 of 3', data: { total: 3 } })
    expect(idsOf(first.data.zettels)).toStrictEqual(ids.slice(0, 2))
    const second = await ask('list', { limit: 2, offset: 2 })
    expect(idsOf(second.data.zettels)).toStrictEqual(ids.slice(2))
    expect((await ask('list', { offset: 9 })).data).toStrictEqual({ zettels: [], total: 3 })
  })

  test('takes category, agent and all of the tags', async () => {
    const a = await store({ content: 'a', category: 'x', tags: ['red', 'big'], source_agent: 'sonnet' })
    const b = await store({ content: 'b', category: 'y', tags: ['red'], source_agent: 'haiku' })
    const listed = async (filter: object) => idsOf((await ask('list', filter)).data.zettels)
    expect(await listed({ category: 'x' })).toStrictEqual([a])
    expect(await listed({ source_agent: 'haiku' })).toStrictEqual([b])
    expect(await listed({ tags: ['red'] })).toStrictEqual([b, a])
    expect(await listed({ tags: [' big ', 'red'] })).toStrictEqual([a])
    expect(await listed({ tags: ['big'], category: 'y' })).toStrictEqual([])
    expect(await listed({ category: 'X' })).toStrictEqual([])
  })
})

describe('search', () => {
  test('finds words in title, tags and content, the best first, with a piece of the content', async () => {
    const inContent = await store({ content: `${'filler '.repeat(100)}a lantern in the dark` })
    const inTitle = await store({ content: 'Something else.', title: 'Lantern' })
    const inTags = await store({ content: 'Nothing here.', tags: ['lantern'] })
    const { data, message } = await ask('search', { query: 'LANTERN' })
    expect(message).toBe('3 found')
    expect(idsOf(data.hits)).toStrictEqual([inTitle, inTags, inContent])
    expect(data.hits[2]!.snippet).toMatch(/^….*a lantern in the dark$/)
  })

  test('wants every word, in any order, accents or not', async () => {
    const id = await store({ content: 'Le café noir est cher.' })
    await store({ content: 'Un café.' })
    expect(idsOf((await ask('search', { query: 'noir cafe' })).data.hits)).toStrictEqual([id])
  })

  test('takes category, agent and tags too, and a limit', async () => {
    const id = await store({ content: 'word', category: 'x', tags: ['t'], source_agent: 'sonnet' })
    await store({ content: 'word' })
    const filter = { category: 'x', tags: ['t'], source_agent: 'sonnet' }
    expect(idsOf((await ask('search', { query: 'word', ...filter })).data.hits)).toStrictEqual([id])
    expect((await ask('search', { query: 'word', limit: 1 })).data.hits).toHaveLength(1)
  })

  for (const query of [
    'NEAR(a b)',
    'title:word',
    'a OR b',
    'NOT a',
    '"a',
    'a*',
    '^a',
    "a'; DROP TABLE zettel",
    '{title}:a',
    'a AND',
    '-a',
    '+',
  ]) {
    test(`takes ${query} for words`, async () => {
      await store({ content: 'b' })
      const { status, body } = await bench.ask({ operation: 'search', query: `${query} zzz` })
      expect(status).toBe(200)
      expect(body.data.hits).toStrictEqual([])
    })
  }

  test('finds what looks like an operator as it is written', async () => {
    const id = await store({ content: 'say "OR" and x-y, not y x' })
    expect(idsOf((await ask('search', { query: 'OR' })).data.hits)).toStrictEqual([id])
    expect(idsOf((await ask('search', { query: 'x-y' })).data.hits)).toStrictEqual([id])
    expect((await ask('search', { query: 'y-say' })).data.hits).toStrictEqual([])
  })
})

describe('link and backlinks', () => {
  test('join two zettels, once, beside the wiki links', async () => {
    const a = await store({ content: 'A', title: 'A' })
    const b = await store({ content: 'See [[a]].', title: 'B' })
    const c = await store({ content: 'C', title: 'C' })
    expect(await ask('link', { zettel_id: c, target_id: a })).toStrictEqual({
      success: true,
      zettel_id: c,
      message: 'linked',
      data: { target_id: a, added: true },
    })
    expect((await ask('link', { zettel_id: c, target_id: a.toLowerCase() })).data.added).toBe(false)
    const { data } = await ask('backlinks', { zettel_id: a })
    expect(data.total).toBe(2)
    expect(idsOf(data.zettels)).toStrictEqual([c, b])
    expect(idsOf((await ask('backlinks', { zettel_id: a, limit: 1, offset: 1 })).data.zettels)).toStrictEqual([b])
    expect((await ask('retrieve', { zettel_id: a })).data.backlinks).toStrictEqual([c, b])
    const linked = await ask('retrieve', { zettel_id: c })
    expect(linked.data.links).toStrictEqual([{ target: a, zettel_ids: [a] }])
    expect(linked.data.zettel).toMatchObject({ content: 'C', updated_at: '2026-11-24T12:00:00.003Z' })
  })

  test('lead to every zettel of the title, and stay over a restart', async () => {
    const from = await store({ content: '[[Twin]] and [[twin|again]]' })
    const twins = [await store({ content: '1', title: 'Twin' }), await store({ content: '2', title: 'twin' })]
    await ask('link', { zettel_id: twins[0]!, target_id: from })
    await bench.start()
    const { data } = await ask('retrieve', { zettel_id: from })
    expect(data).toMatchObject({ links: [{ target: 'Twin', zettel_ids: twins }], backlinks: [twins[0]] })
    expect(idsOf((await ask('backlinks', { zettel_id: twins[1]! })).data.zettels)).toStrictEqual([from])
  })

  test('refuse a link to itself, from or to nowhere', async () => {
    const id = await store({ content: 'a' })
    const link = (input: object) => bench.ask({ operation: 'link', ...input })
    expect((await link({ zettel_id: id, target_id: id })).body).toMatchObject({
      error: 'INVALID_ZETTEL',
      message: 'a zettel cannot be linked to itself',
    })
    expect((await link({ zettel_id: id, target_id: 'none' })).status).toBe(404)
    expect((await link({ zettel_id: 'none', target_id: id })).status).toBe(404)
    expect((await bench.ask({ operation: 'backlinks', zettel_id: 'none' })).status).toBe(404)
  })
})

describe('input that does not fit', () => {
  const refused: Record<string, [input: unknown, message: string]> = {
    nothing: [null, "input must have required property 'operation'"],
    'no operation': [{}, "input must have required property 'operation'"],
    'another operation': [{ operation: 'delete' }, 'input/operation must be equal to one of the allowed values'],
    'no content': [{ operation: 'store' }, "input must have required property 'content'"],
    'a member of another operation': [
      { operation: 'retrieve', zettel_id: 'a', query: 'b' },
      'additional properties ("query")',
    ],
    'no id': [{ operation: 'retrieve' }, "input must have required property 'zettel_id'"],
    'an id that is a path': [{ operation: 'retrieve', zettel_id: '../a' }, 'input/zettel_id must match pattern'],
    'a limit of nothing': [{ operation: 'list', limit: 0 }, 'input/limit must be >= 1'],
    'a limit that is too high': [{ operation: 'list', limit: 1001 }, 'input/limit must be <= 1000'],
    'an offset before the first': [{ operation: 'list', offset: -1 }, 'input/offset must be >= 0'],
    'a limit of search that is too high': [
      { operation: 'search', query: 'a', limit: 101 },
      'input/limit must be <= 100',
    ],
    'a query without words': [{ operation: 'search', query: '"* -' }, 'input/query has no words'],
    'a query with a NUL': [{ operation: 'search', query: 'a\0b' }, 'input/query must match pattern'],
    'a query that is too long': [{ operation: 'search', query: 'a'.repeat(501) }, 'NOT have more than 500 characters'],
  }
  for (const [what, [input, message]] of Object.entries(refused)) {
    test(`is refused: ${what}`, async () => {
      const { status, body } = await bench.ask(input)
      expect(status).toBe(400)
      expect(body).toMatchObject({ error: 'INVALID_INPUT', retryable: false })
      expect(body.message).toContain(message)
    })
  }

  test('is an invalid zettel where it is the content', async () => {
    const { status, body } = await bench.ask({ operation: 'store', content: 'a\0' })
    expect(status).toBe(400)
    expect(body).toStrictEqual({ error: 'INVALID_ZETTEL', message: 'content has a NUL character', retryable: false })
  })

  test('is one zettel too many', async () => {
    await bench.start({ quota: { zettels: 1, bytes: 1e6 } })
    await store({ content: 'a' })
    expect((await bench.ask({ operation: 'store', content: 'b' })).body.error).toBe('TOO_MANY_ZETTELS')
  })
})
