// Whatever comes in: searches against an oracle that counts words itself, and hostile queries and texts.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSchemaCheck } from '../../../src/worker/schema-check.ts'
import { Output, type Hit, type Request } from '../../../src/workers/semantic_search/schemas.ts'
import { run, startEngine, stateFolder } from './texts.ts'
import { createModel, type Model } from './model.ts'

const word = fc.constantFrom('ka', 'ki', 'ku', 'la', 'li', 'lu', 'ma', 'mi')
const text = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(' '))
const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')
const metadata = fc.dictionary(
  fc.constantFrom('x', 'y', '__proto__'),
  fc.oneof(fc.boolean(), fc.constantFrom(0, 1, '1', '')),
  {
    maxKeys: 2,
    noNullPrototype: true,
  },
)
const documents = fc.uniqueArray(fc.record({ id, text, metadata }), {
  selector: (item) => item.id,
  minLength: 1,
  maxLength: 10,
})
const request: fc.Arbitrary<Request> = fc.oneof(
  fc.record({ operation: fc.constant('index'), documents }),
  fc.record({ operation: fc.constant('delete'), ids: fc.array(id, { minLength: 1, maxLength: 4 }) }),
  fc.record({ operation: fc.constant('search'), query: text, k: fc.constant(50), filter: metadata }),
)

test('any sequence of calls answers as an oracle that counts by hand', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 3, maxLength: 12 }), async (requests) => {
      const engine = startEngine({ dir: await stateFolder() })
      const model = createModel()
      for (const item of requests) {
        const result = await run(engine, item)
        expect(result).toMatchObject(model.apply(item))
        if (item.operation === 'search' && result.operation === 'search') checkHits(result.hits, item, model)
      }
      await engine.close()
    }),
    { numRuns: 30 },
  )
})

function checkHits(
  hits: readonly Hit[],
  { query, filter = {} }: Extract<Request, { operation: 'search' }>,
  model: Model,
): void {
  const words = [...new Set(query.split(' '))]
  const expected = model.matching(words, filter)
  const byWords = hits.filter(({ why }) => why.lexical_rank !== undefined)
  expect(byWords.map((hit) => hit.id).sort()).toStrictEqual(expected.map((item) => item.id).sort())
  const ranked = [...byWords].sort((a, b) => a.why.lexical_rank! - b.why.lexical_rank!)
  const scores = ranked.map((hit) => expected.find((item) => item.id === hit.id)!.score)
  for (const [at, score] of scores.slice(1).entries()) expect(score).toBeLessThanOrEqual(scores[at]! + 1e-9)
  for (const hit of hits) {
    const document = model.document(hit.id)
    expect(hit.snippet).toBe(document.text)
    expect(hit.metadata).toStrictEqual(document.metadata)
    expect(document.metadata).toMatchObject(filter)
    expect(hit.why.matched_terms).toStrictEqual(words.filter((item) => document.text.split(' ').includes(item)))
    expect(hit.why.matched_terms.length > 0 || hit.why.semantic_rank !== undefined).toBe(true)
  }
  expect(hits.map(({ score }) => score)).toStrictEqual(hits.map(({ score }) => score).sort((a, b) => b - a))
}

const check = createSchemaCheck(JSON.parse(JSON.stringify(Output)) as object, 'output')
const syntax = fc.constantFrom(
  '"',
  "'",
  '*',
  '^',
  '(',
  ')',
  '-',
  ':',
  '+',
  '{',
  '}',
  'AND',
  'OR',
  'NOT',
  'NEAR(',
  'words:',
  '\0',
  '\u0001',
  '\u0002',
  ';--',
)
const hostile = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
  fc
    .array(fc.oneof(syntax, word, fc.string({ maxLength: 3 })), { minLength: 1, maxLength: 12 })
    .map((parts) => parts.join(' ')),
  fc.constantFrom('\ud800', '\udfff car', 'e\u0301', 'ﬁ', 'İ', '\u200b', '한국어', 'a'.repeat(1000)),
)

test('no query and no text is an error, and every answer fits the schema', async () => {
  const engine = startEngine({ dir: await stateFolder() })
  await fc.assert(
    fc.asyncProperty(hostile, hostile, async (query, content) => {
      const indexed = await run(engine, {
        operation: 'index',
        documents: [{ id: `${content.length % 5}`, text: content }],
      })
      const found = await run(engine, { operation: 'search', query })
      expect([check(indexed), check(found)]).toStrictEqual([undefined, undefined])
      for (const { snippet, highlights } of found.hits) {
        expect(snippet).not.toMatch(/[\u0000-\u0008]/)
        for (const { start, end } of highlights) expect(snippet.slice(start, end)).not.toBe('')
      }
    }),
    { numRuns: 150 },
  )
})

test('the words of a text find it, whatever stands between them', async () => {
  const engine = startEngine({ dir: await stateFolder() })
  const separator = fc.constantFrom(' ', '\0', '\n', '"', "'", '-', '*', '(', '\u0001', '。', '🙂')
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(word, separator), { minLength: 1, maxLength: 8 }), async (parts) => {
      await run(engine, { operation: 'index', documents: [{ id: 'it', text: parts.flat().join('') }] })
      const { hits } = await run(engine, {
        operation: 'search',
        query: parts.map(([own, mark]) => `${mark}${own}`).join(''),
      })
      const words = parts.map(([own]) => own)
      expect(hits).toMatchObject([{ id: 'it', why: { lexical_rank: 1, matched_terms: [...new Set(words)] } }])
      expect(hits[0]!.highlights).toHaveLength(words.length)
    }),
    { numRuns: 60 },
  )
})
