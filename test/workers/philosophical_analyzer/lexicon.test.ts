// The bundled lexicon says everything once, and nothing to no effect.
import { expect, test } from 'vitest'
import { bundledLexicon, parseLexicon } from '../../../src/workers/philosophical_analyzer/lexicon.ts'

const { markers, themes, authenticity, domains } = bundledLexicon
const signs = { ...markers, ...themes, ...authenticity }

for (const [code, { phrases, patterns = [] }] of Object.entries(signs)) {
  const all = Object.values(phrases).flat()

  test(`${code} has each phrase and each pattern once`, () => {
    expect(all.length).toBeGreaterThan(10)
    expect(all.filter((phrase, at) => all.indexOf(phrase) !== at)).toStrictEqual([])
    const names = patterns.map(({ name }) => name)
    expect(names).toStrictEqual([...new Set(names)])
  })

  test(`${code} has no word that a beginning of a word of the same weight has anyway`, () => {
    const idle = Object.values(phrases).flatMap((list) =>
      list.filter((phrase) =>
        list.some(
          (other) =>
            other !== phrase &&
            other.endsWith('*') &&
            phrase.startsWith(other.slice(0, -1)) &&
            sameWords(phrase, other),
        ),
      ),
    )
    expect(idle).toStrictEqual([])
  })
}

test('what a domain calls everyday is in the lexicon', () => {
  const known = new Set(Object.values(signs).flatMap(({ phrases }) => Object.values(phrases).flat()))
  expect(
    Object.values(domains)
      .flat()
      .filter((phrase) => !known.has(phrase)),
  ).toStrictEqual([])
})

test('a phrase with two weights in one marker is refused', () => {
  const twice = { ...markers['SHM']!, phrases: { 1: ['here'], 2: ['here'] } }
  expect(() => parseLexicon({ ...bundledLexicon, markers: { SHM: twice } })).toThrow(
    'lexicon: duplicate phrase "here" in SHM',
  )
})

function sameWords(a: string, b: string): boolean {
  return a.split(' ').length === b.split(' ').length
}
