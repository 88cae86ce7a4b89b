// list, search and backlinks agree with a model that looks at every zettel, for two callers and any order of storing.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createZettelManager } from '../../../src/workers/zettel_manager/worker.ts'
import { ANNA, BERT, createBench, type Bench } from '../zettel/place.ts'

type Draft = {
  content: string
  title: string
  category: string
  tags: string[]
  source_agent?: string
  shared: boolean
}
type Model = Draft & { zettel_id: string; owner: string; at: number }
type Question = { reader: string; filter: Filter; query: string; limit: number; offset: number }
type Filter = { category?: string; source_agent?: string; tags?: string[] }

const words = fc.constantFrom(
  'trust',
  'Trust',
  'zero',
  'café',
  'CAFE',
  'x-y',
  'x',
  'y',
  '日本',
  'O\u2019Neil',
  '"quoted"',
  '42',
)
const separator = fc.constantFrom(' ', ', ', '\n', '-', '. ')
const prose = fc
  .array(fc.tuple(words, separator), { minLength: 1, maxLength: 8 })
  .map((parts) => parts.map(([word, gap]) => word + gap).join(''))
const category = fc.constantFrom('a', 'A', 'b c')
const tags = fc.uniqueArray(fc.constantFrom('red', 'RED', 'big', 'café'), { maxLength: 3 })
const agent = fc.constantFrom('sonnet', 'haiku')
const titles = fc.constantFrom('Trust', 'trust', 'Zero  trust', 'Café', 'other')
const link = titles.map((title) => `[[${title}]]`)
const caller = fc.constantFrom(ANNA, BERT)

const step = fc.record({
  owner: caller,
  pauseMs: fc.integer({ min: 0, max: 1 }),
  draft: fc.record(
    {
      content: fc.tuple(prose, fc.array(link, { maxLength: 2 })).map(([text, links]) => [text, ...links].join('\n')),
      title: titles,
      category,
      tags,
      source_agent: agent,
      shared: fc.boolean(),
    },
    { requiredKeys: ['content', 'title', 'category', 'tags', 'shared'] },
  ),
})
const filter = fc.record({ category, source_agent: agent, tags }, { requiredKeys: [] })
const term = fc.oneof(words, fc.constantFrom('x-y', 'trust,', '(zero', 'tr"ust', 'OR', '*'))
const question = fc.record({
  reader: caller,
  filter,
  query: fc.array(term, { minLength: 1, maxLength: 2 }).map((terms) => terms.join(' ')),
  limit: fc.integer({ min: 1, max: 5 }),
  offset: fc.integer({ min: 0, max: 5 }),
})

// As SQLite's unicode61 splits, for the words above: letters and digits, without accents and case.
const tokens = (text: string) =>
  text
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu) ?? []
const sees = (reader: string) => (zettel: Model) => zettel.owner === reader || zettel.shared
const fits = (wanted: Filter) => (zettel: Model) =>
  (wanted.category === undefined || zettel.category === wanted.category) &&
  (wanted.source_agent === undefined || zettel.source_agent === wanted.source_agent) &&
  (wanted.tags ?? []).every((tag) => zettel.tags.includes(tag))
const newestFirst = (a: Model, b: Model) => b.at - a.at || (a.zettel_id < b.zettel_id ? 1 : -1)

/** Every term is there, its words in a row, in one of title, tags and content. */
function holds(zettel: Model, query: string): boolean {
  const columns = [zettel.title, zettel.tags.join('\n'), zettel.content].map(tokens)
  const terms = query
    .split(' ')
    .map(tokens)
    .filter((term) => term.length > 0)
  return terms.every((term) => columns.some((column) => ` ${column.join(' ')} `.includes(` ${term.join(' ')} `)))
}

function linksTo(zettel: Model, target: Model): boolean {
  const key = (name: string) => name.toLowerCase().replaceAll(/ +/g, ' ')
  const written = [...zettel.content.matchAll(/\[\[(.*?)\]\]/g)].map(([, name = '']) => key(name))
  return zettel !== target && written.includes(key(target.title))
}

let bench: Bench
beforeAll(async () => {
  bench = await createBench(createZettelManager, 'manage:sonnet_zettel')
})
afterAll(() => bench.close())

const idsOf = (zettels: readonly { zettel_id: string }[]) => zettels.map(({ zettel_id }) => zettel_id)

test('list, search and backlinks agree with a look at every zettel', async () => {
  const model: Model[] = []
  await bench.start({ sync: () => Promise.resolve() })

  async function store({ owner, pauseMs, draft }: { owner: string; pauseMs: number; draft: Draft }): Promise<void> {
    bench.elapsedMs += pauseMs
    const { status, body, text } = await bench.ask({ operation: 'store', ...draft }, owner)
    expect(status, text).toBe(200)
    model.push({ ...draft, zettel_id: body.data.zettel.zettel_id, owner, at: bench.elapsedMs })
  }

  async function compare({ reader, filter: wanted, query, limit, offset }: Question): Promise<void> {
    const visible = model.filter(sees(reader)).sort(newestFirst)
    const fitting = visible.filter(fits(wanted))
    const listed = await bench.ask({ operation: 'list', ...wanted, limit, offset }, reader)
    expect(listed.body.data.total).toBe(fitting.length)
    expect(idsOf(listed.body.data.zettels)).toStrictEqual(idsOf(fitting.slice(offset, offset + limit)))

    const searched = await bench.ask({ operation: 'search', query, ...wanted, limit: 100 }, reader)
    const hits = searched.status === 200 ? idsOf(searched.body.data.hits).sort() : searched.body.message
    const matching = idsOf(fitting.filter((zettel) => holds(zettel, query))).sort()
    expect(hits).toStrictEqual(tokens(query).length === 0 ? 'input/query has no words' : matching)

    const target = visible[offset % Math.max(1, visible.length)]
    const backlinks = await bench.ask({ operation: 'backlinks', zettel_id: target?.zettel_id ?? 'none', limit }, reader)
    const linking = target === undefined ? [] : visible.filter((zettel) => linksTo(zettel, target))
    expect(backlinks.status).toBe(target === undefined ? 404 : 200)
    expect(idsOf(target === undefined ? [] : backlinks.body.data.zettels)).toStrictEqual(idsOf(linking.slice(0, limit)))
  }

  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 6 }),
      fc.array(question, { maxLength: 6 }),
      async (steps, questions) => {
        for (const some of steps) await store(some)
        for (const some of questions) await compare(some)
        expect(model.length).toBeLessThan(200)
      },
    ),
    // No shrinking: the zettels of one run stay for the next.
    { numRuns: 25, endOnFailure: true },
  )
})

test('any query is words, or refused', async () => {
  const query = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 500 }),
    fc.string({ unit: fc.constantFrom(...Array.from('"*^(){}:+-,AND OR NEAR\'\\\0;日é½')), minLength: 1 }),
  )
  await bench.start()
  await fc.assert(
    fc.asyncProperty(query, async (some) => {
      const { status, body } = await bench.ask({ operation: 'search', query: some })
      expect([200, 400]).toContain(status)
      expect(status === 200 || body.error === 'INVALID_INPUT').toBe(true)
    }),
    { numRuns: 300 },
  )
})
