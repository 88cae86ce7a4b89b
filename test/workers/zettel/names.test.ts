import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keyOf, pathOf, slugOf, ZETTEL_ID } from '../../../src/workers/zettel/names.ts'

const path = (category: string, title = 'Title', zettel_id = 'id1') => pathOf({ zettel_id, category, title })
/** Categories and titles as an attacker writes them, and anything else. */
const name = fc.oneof(
  fc.constantFrom(
    '..',
    '.',
    '../../etc/passwd',
    '/etc',
    'a\0b',
    '~',
    'é '.repeat(200),
    'x'.repeat(300),
    'CON',
    '-rf',
    '.hidden',
    '‥／x',
    '\ud800',
    'ﬁ',
    'ẞ',
  ),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ unit: fc.constantFrom('.', '/', '\\', '\0', '\u0300', 'é', 'K', 'İ', '日', ' '), maxLength: 300 }),
)

describe('the path of a zettel', () => {
  test('is its category, its id and its title', () => {
    expect(path('Über uns & Co.', 'What  is Trust?')).toBe('uber-uns-co/id1.what-is-trust.md')
  })

  const odd: Record<string, [category: string, folder: string]> = {
    'the folder above': ['../../etc', 'etc'],
    'a path of the machine': ['/etc/passwd', 'etc-passwd'],
    'a NUL': ['a\0b', 'a-b'],
    'a leading dot': ['.index', 'index'],
    'a leading hyphen': ['-rf', 'rf'],
    'letters of full width': ['Ａ／Ｂ', 'a-b'],
    'an accent as one character': ['caf\u00e9', 'cafe'],
    'an accent of its own': ['cafe\u0301', 'cafe'],
    'a Kelvin sign': ['\u212aelvin', 'kelvin'],
    capitals: ['CASE', 'case'],
  }
  for (const [what, [category, folder]] of Object.entries(odd)) {
    test(`has a folder made of a-z, 0-9 and hyphens for ${what}`, () => {
      expect(path(category)).toBe(`${folder}/id1.title.md`)
    })
  }

  test('has a folder of its own for a category in another script, the same for all ways to write it', () => {
    expect(path('日本')).toMatch(/^x-[0-9a-f]{12}\/id1\.title\.md$/)
    expect(path('日本')).not.toBe(path('中国'))
    expect(path('\u304c')).toBe(path('\u304b\u3099'))
  })

  test('goes without a title where nothing is left of it', () => {
    expect(path('a', '信頼')).toBe('a/id1.md')
  })

  test('cannot be made the same by another id', () => {
    expect(path('c', 'b-c', 'a')).not.toBe(path('c', 'c', 'a-b'))
  })

  test('has two short segments without anything special, whatever the names', () => {
    fc.assert(
      fc.property(name, name, fc.stringMatching(new RegExp(ZETTEL_ID)), (category, title, zettel_id) => {
        const [folder, file, ...rest] = pathOf({ zettel_id, category, title }).split('/')
        expect(rest).toStrictEqual([])
        expect(folder).toMatch(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/)
        expect(file).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:\.[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?)?\.md$/)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a slug', () => {
  test('stays as it is, made again', () => {
    fc.assert(
      fc.property(name, fc.integer({ min: 1, max: 80 }), (text, length) => {
        const slug = slugOf(text, length)
        expect(slugOf(slug, length)).toBe(slug)
      }),
    )
  })
})

describe('the key of a name', () => {
  for (const [a, b] of [
    ['On Trust', ' on   TRUST '],
    ['caf\u00e9', 'CAFE\u0301'],
    ['Ａ', 'a'],
    ['01ARZ3NDEK', '01arz3ndek'],
  ] as const) {
    test(`is the same for ${JSON.stringify(a)} and ${JSON.stringify(b)}`, () => {
      expect(keyOf(a)).toBe(keyOf(b))
    })
  }

  test('is its own key', () => {
    fc.assert(
      fc.property(name, (text) => {
        expect(keyOf(keyOf(text))).toBe(keyOf(text))
      }),
    )
  })
})
