// Whatever text comes in: scores can be worked out from the answer alone, and every piece of evidence is where it says.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSchemaCheck } from '../../../src/worker/schema-check.ts'
import { createAnalyse } from '../../../src/workers/philosophical_analyzer/analyse.ts'
import { compileLexicon } from '../../../src/workers/philosophical_analyzer/compile.ts'
import { bundledLexicon, parseLexicon, type Pattern } from '../../../src/workers/philosophical_analyzer/lexicon.ts'
import { createPatternMatcher } from '../../../src/workers/philosophical_analyzer/patterns.ts'
import { createPhraseMatcher } from '../../../src/workers/philosophical_analyzer/phrases.ts'
import type { Output } from '../../../src/workers/philosophical_analyzer/schemas.ts'
import { tokensOf } from '../../../src/workers/philosophical_analyzer/tokens.ts'
import { createPhilosophicalAnalyzer } from '../../../src/workers/philosophical_analyzer/worker.ts'

const analyse = createAnalyse(compileLexicon(bundledLexicon))
const { signal } = new AbortController()
const [capability] = createPhilosophicalAnalyzer().capabilities
const check = createSchemaCheck(capability!.schema.output_schema, 'output')

const phrases = [
  ...Object.values(bundledLexicon.markers),
  ...Object.values(bundledLexicon.themes),
  ...Object.values(bundledLexicon.authenticity),
].flatMap((signs) => Object.values(signs.phrases).flat())
const part = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...phrases).map((phrase) => phrase.replaceAll('*', 'ing')) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'not',
      'the',
      'and',
      'of',
      '.',
      '!\n\n',
      '…',
      '—',
      "don't",
      'ever-',
      'İ',
      'e\u0301',
      '🙂',
    ),
  },
  fc.string({ unit: 'binary', maxLength: 6 }),
)
const text = fc.array(part, { minLength: 10, maxLength: 120 }).map((parts) => `${parts.join(' ')}${' x'.repeat(50)}`)

describe('any text', () => {
  test('gets an answer that fits the schema, the same each time', async () => {
    await fc.assert(
      fc.asyncProperty(text, async (content) => {
        const answer = await analyse({ text: content }, signal)
        expect(check(answer)).toBeUndefined()
        expect(await analyse({ text: content }, signal)).toStrictEqual(answer)
      }),
      { numRuns: 60 },
    )
  })

  test('has its evidence where the answer says, in order', async () => {
    await fc.assert(
      fc.asyncProperty(text, async (content) => {
        const { evidence } = await analyse({ text: content }, signal)
        for (const { phrase, offset, length } of evidence) {
          expect(length).toBeGreaterThan(0)
          expect(content.slice(offset, offset + length).slice(0, 200)).toBe(phrase)
        }
        const offsets = evidence.map(({ offset }) => offset)
        expect(offsets).toStrictEqual([...offsets].sort((a, b) => a - b))
      }),
      { numRuns: 60 },
    )
  })

  test('has scores that follow from its evidence by the formulas', async () => {
    await fc.assert(
      fc.asyncProperty(text, async (content) => checkScores(await analyse({ text: content }, signal))),
      { numRuns: 60 },
    )
  })
})

function checkScores({
  dna_markers,
  secondary_themes,
  authenticity_score,
  confidence,
  evidence,
  explanation,
}: Output): void {
  const { words, scores, english_share } = explanation
  const points = (of: string) =>
    evidence.filter(({ marker }) => marker === of).reduce((sum, item) => sum + item.points, 0)
  const all: Record<string, number> = { ...dna_markers, ...secondary_themes }
  for (const { marker, points: told, scale } of scores) {
    expect(told).toBeCloseTo(points(marker), 4)
    expect(all[marker]).toBeCloseTo(1 - Math.exp(-told / (scale * Math.sqrt(Math.max(1, words / 100)))), 3)
  }
  const [lived, performed] = [points('lived'), points('performed')]
  expect(authenticity_score).toBeCloseTo((lived + 3) / (lived + performed + 6), 4)
  const themes = Object.keys(bundledLexicon.themes)
  const pieces = evidence.filter(({ marker, denied }) => !denied && !themes.includes(marker)).length
  expect(pieces).toBe(explanation.evidence)
  const sure = (1 - Math.exp(-words / 200)) * (0.4 + 0.6 * (1 - Math.exp(-pieces / 8))) * english_share
  expect(confidence).toBeCloseTo(sure, 3)
}

const word = fc.constantFrom('a', 'ab', 'abc', 'b', 'c')
const sentence = fc.array(word, { minLength: 1, maxLength: 30 }).map((words) => words.join(' '))
const lexiconWord = fc.oneof(word, fc.constantFrom('a*', 'ab*', 'b*'))

/** Whether the word of a text is what a word of the lexicon stands for. */
function stands(own: string, of: string): boolean {
  return of.endsWith('*') ? own.startsWith(of.slice(0, -1)) : own === of
}

test('a phrase is found exactly where its words stand, and the longest wins', () => {
  const phrase = fc.array(lexiconWord, { minLength: 1, maxLength: 3 }).map((words) => words.join(' '))
  fc.assert(
    fc.property(sentence, fc.uniqueArray(phrase, { minLength: 1, maxLength: 8 }), (content, list) => {
      const tokens = tokensOf(content)
      const match = createPhraseMatcher(list.map((item) => ({ phrase: item, weight: 1 })))
      for (const [at] of tokens.entries()) {
        const lengths = list
          .map((item) => item.split(' '))
          .filter((words) => words.every((item, offset) => stands(tokens[at + offset]?.word ?? '', item)))
          .map((words) => words.length)
        const hit = match(tokens, at)
        expect(hit === undefined ? 0 : hit.last - hit.first + 1).toBe(Math.max(0, ...lengths))
      }
    }),
  )
})

test('a pattern has a word of each group, near enough, in one sentence, and its hits do not overlap', () => {
  const pattern: fc.Arbitrary<Pattern> = fc.record({
    name: fc.constant('p'),
    description: fc.constant('P.'),
    near: fc.array(fc.array(lexiconWord, { minLength: 1, maxLength: 2 }), { minLength: 2, maxLength: 3 }),
    within: fc.integer({ min: 2, max: 8 }),
    weight: fc.constant(1),
    ordered: fc.boolean(),
  })
  const content = fc.array(sentence, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('. '))
  fc.assert(
    fc.property(content, pattern, (all, item) => {
      const tokens = tokensOf(all)
      const scan = createPatternMatcher([item])()
      const hits = tokens.flatMap((_token, at) => scan(tokens, at))
      let free = 0
      for (const { first, last } of hits) {
        expect(first).toBeGreaterThanOrEqual(free)
        expect(last - first).toBeLessThan(item.within)
        expect(tokens[first]!.sentence).toBe(tokens[last]!.sentence)
        const words = tokens.slice(first, last + 1).map((token) => token.word)
        for (const group of item.near) expect(words.some((own) => group.some((of) => stands(own, of)))).toBe(true)
        free = last + 1
      }
    }),
  )
})

test('the end of a sentence is the end of a phrase and of a pattern', async () => {
  const said = await analyse(
    { text: `Here the context matters to all of us who live here. ${'x '.repeat(20)}` },
    signal,
  )
  const apart = await analyse(
    { text: `Here is the context. Matters are otherwise for us here. ${'x '.repeat(20)}` },
    signal,
  )
  expect(said.evidence.map(({ phrase }) => phrase)).toContain('context matters')
  expect(apart.evidence.map(({ phrase }) => phrase)).not.toContain('context. Matters')
})

test('a lexicon is refused or works: no lexicon makes an analysis fail', async () => {
  const lexicon = fc.record({
    ...Object.fromEntries(Object.entries(bundledLexicon).map(([key, value]) => [key, fc.constant(value)])),
    markers: fc.dictionary(
      fc.constantFrom('AA', 'AA', 'BB', 'CC', 'CC', '__proto__', 'bad'),
      fc.record({
        name: fc.string({ minLength: 1, maxLength: 5 }),
        description: fc.constant('D.'),
        scale: fc.oneof({ weight: 9, arbitrary: fc.constant(4) }, fc.double({ min: -1, max: 5 })),
        phrases: fc.dictionary(
          fc.constantFrom('1', '2', '3', '9', '9', 'x'),
          fc.array(fc.oneof({ weight: 9, arbitrary: lexiconWord }, fc.string({ maxLength: 3 })), { maxLength: 3 }),
          { maxKeys: 2 },
        ),
      }),
      { maxKeys: 2 },
    ),
  })
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(lexicon, sentence, async (value, content) => {
      const parsed = attempt(() => parseLexicon(JSON.parse(JSON.stringify(value))))
      if (parsed === undefined) return
      accepted += 1
      const { dna_markers } = await createAnalyse(compileLexicon(parsed))(
        { text: `${content} ${'y'.repeat(60)}` },
        signal,
      )
      expect(Object.keys(dna_markers)).toStrictEqual(Object.keys(parsed.markers))
    }),
    { numRuns: 300 },
  )
  expect(accepted).toBeGreaterThan(20)
})

function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (error: unknown) {
    expect((error as Error).message).toMatch(/^lexicon/)
    return undefined
  }
}
