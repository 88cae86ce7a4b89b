import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_LINKS, wikiLinks } from '../../../src/workers/zettel/wiki-links.ts'

const targets = (text: string) => wikiLinks(text).map(({ target }) => target)

describe('wiki links', () => {
  const forms: Record<string, [text: string, targets: string[]]> = {
    'by title': ['see [[On Trust]].', ['On Trust']],
    'with words of their own': ['[[On Trust|this one]]', ['On Trust']],
    'to a heading': ['[[On Trust#Why|why]] [[Other#]]', ['On Trust', 'Other']],
    'side by side': ['[[a]][[b]]', ['a', 'b']],
    'once each, however they are written': ['[[A]] [[ a ]] [[a|x]]', ['A']],
    'inside more brackets': ['[[[a]]]', ['a']],
    'in other scripts': ['[[信頼]] [[Größe]]', ['信頼', 'Größe']],
  }
  for (const [how, [text, expected]] of Object.entries(forms)) {
    test(`are found ${how}`, () => {
      expect(targets(text)).toStrictEqual(expected)
    })
  }

  for (const text of [
    '[a]',
    '[[]]',
    '[[ ]]',
    '[[a',
    '[[a]',
    '[[a\nb]]',
    '[[|a]]',
    '[[#a]]',
    '[[a\0b]]',
    `[[${'a'.repeat(201)}]]`,
  ]) {
    test(`are not found in ${JSON.stringify(text.slice(0, 20))}`, () => {
      expect(targets(text)).toStrictEqual([])
    })
  }

  test(`are at most ${MAX_LINKS}`, () => {
    const text = Array.from({ length: MAX_LINKS + 5 }, (_, at) => `[[${at}]]`).join()
    expect(wikiLinks(text)).toHaveLength(MAX_LINKS)
  })

  test('are what was written between the brackets', () => {
    const word = fc.stringMatching(/^[a-zä ]{1,20}$/)
    fc.assert(
      fc.property(fc.array(fc.tuple(word, fc.option(word))), (links) => {
        const text = links.map(([target, label]) => `x [[${target}${label === null ? '' : `|${label}`}]]`).join('\n')
        const expected = new Map(
          links.map(([target]) => target.trim()).map((target) => [target.replaceAll(/ +/g, ' '), target]),
        )
        expected.delete('')
        expect(wikiLinks(text).map(({ key }) => key)).toStrictEqual([...expected.keys()])
      }),
    )
  })

  test('are looked for in any text, in a number of steps that grows with it only', () => {
    for (const piece of ['[', '[[a', '[[a|', '[[a#b|', '[[a#', ']]', '[[a]', '[[a\n']) {
      expect(wikiLinks(piece.repeat(200_000))).toBeInstanceOf(Array)
    }
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('[', ']', '|', '#', 'a', '\n', '\ud800', ' ') }), (text) => {
        for (const { target, key } of wikiLinks(text)) expect([target, key]).not.toContain('')
      }),
    )
  })
})
