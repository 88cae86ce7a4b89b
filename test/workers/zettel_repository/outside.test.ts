// Whatever the input: an answer that fits, files in the folder only, and only where a zettel belongs.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseZettel } from '../../../src/workers/zettel/front-matter.ts'
import { createZettelRepository } from '../../../src/workers/zettel_repository/worker.ts'
import { createBench, type Bench } from '../zettel/place.ts'

let bench: Bench
beforeAll(async () => {
  bench = await createBench(createZettelRepository, 'store:zettel')
  await bench.start({ sync: () => Promise.resolve() })
})
afterAll(() => bench.close())

const PATH = /^zettel_repository\/[a-z0-9-]{1,64}\/[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:\.[a-z0-9-]{1,80})?\.md$/
const INDEX = /^zettel_repository\/\.index\/zettels\.sqlite(?:-wal|-shm)?$/

const hostile = fc.oneof(
  fc.constantFrom(
    '../../x',
    '/etc/passwd',
    '..',
    '.',
    '.index',
    '.drafts',
    'a\0.md',
    '~root',
    'CON',
    '-rf',
    'x'.repeat(300),
  ),
  fc.constantFrom(
    'café',
    'cafe\u0301',
    'CAFÉ',
    'Café',
    'ﬁle',
    'ﬀ',
    '\u212a',
    'ß',
    'ẞ',
    'İ',
    '‥／‥／x',
    '\ud800',
    '\u202e',
  ),
  fc.string({
    unit: fc.constantFrom('.', '/', '\\', '\0', '\n', '[', ']', ':', '-', '#', ' ', 'é', '日'),
    minLength: 1,
  }),
  fc.string({ unit: 'binary', maxLength: 300 }),
)
// One time in two. With a `freq` of 1 it would never be there.
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })
const members = {
  content: fc.oneof(hostile, fc.lorem()),
  zettel_id: optional(fc.oneof(hostile, fc.constantFrom('a', 'A', 'b-c', 'b'))),
  title: optional(hostile),
  category: optional(hostile),
  tags: optional(fc.array(hostile, { maxLength: 3 })),
  source_agent: optional(hostile),
  metadata: optional(fc.oneof(fc.dictionary(hostile, hostile), hostile)),
}
const input = fc.record(members)
type Some = ReturnType<typeof input.generate>['value']

test('no file is made outside, for any input', async () => {
  const stored = new Map<string, Some>()
  await fc.assert(
    fc.asyncProperty(input, async (some) => {
      const { status, body } = await bench.ask(some)
      expect([200, 400]).toContain(status)
      const path = status === 200 ? body.storage_path : undefined
      if (path !== undefined) stored.set(path, some)
      else expect(body).toMatchObject({ error: 'INVALID_ZETTEL', retryable: false })
    }),
    { numRuns: 1000 },
  )
  const files = await bench.tree()
  expect(files.filter((path) => !PATH.test(path) && !INDEX.test(path))).toStrictEqual([])
  expect(files.filter((path) => PATH.test(path))).toStrictEqual([...stored.keys()].sort())
  expect(stored.size).toBeGreaterThan(50)
  const given = new Set([...stored.values()].flatMap((some) => namesOf(some)))
  expect([...given].sort()).toStrictEqual(Object.keys(members).sort())
  for (const [path, { content }] of stored) expect(parseZettel(await bench.read(path)).content).toBe(content)
})

const namesOf = (some: Some): string[] =>
  Object.entries(some).flatMap(([name, value]) => (value === undefined ? [] : name))
