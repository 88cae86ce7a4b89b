import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Run } from '../../../src/workers/document_conversion/blocks.ts'
import { layoutLines } from '../../../src/workers/document_conversion/layout.ts'

// Every character is one wide.
const measure = (text: string) => Array.from(text).length

function lines(runs: Run[], width: number, keepSpaces = false): string[] {
  return [...layoutLines(runs, width, measure, keepSpaces)].map((line) => line.map(({ text }) => text).join('|'))
}

function plain(text: string): Run[] {
  return [{ text, style: 0 }]
}

describe('lines of a width', () => {
  test('break at spaces, which are not there then', () => {
    expect(lines(plain('one two three'), 7)).toStrictEqual(['one two', 'three'])
    expect(lines(plain('  one   two  '), 20)).toStrictEqual(['one two'])
  })

  test('break where the text does, blank ones too', () => {
    expect(lines(plain('a\n\nb'), 9)).toStrictEqual(['a', '', 'b'])
  })

  test('keep a word together that has several styles', () => {
    const runs = [
      { text: 'one tw', style: 0 },
      { text: 'o', style: 1 },
      { text: ' three', style: 0 },
    ]
    expect(lines(runs, 6)).toStrictEqual(['one', 'tw|o', 'three'])
  })

  test('break a word that is wider than a line, and no mark off its letter', () => {
    expect(lines(plain('a abcdefg'), 3)).toStrictEqual(['a', 'abc', 'def', 'g'])
    expect(lines(plain('xe\u0301e\u0301'), 2)).toStrictEqual(['x', 'e\u0301', 'e\u0301'])
  })

  test('break words of any length', () => {
    const word = 'abcdefghij'.repeat(30)
    expect(lines(plain(word), 90).map((line) => line.length)).toStrictEqual([90, 90, 90, 30])
    expect(lines(plain(word), 90).join('')).toBe(word)
  })

  test('keep spaces where they are told to', () => {
    expect(lines(plain('  a  b\n\tc'), 9, true)).toStrictEqual(['  a  b', '    c'])
  })
})

describe('lines of any text', () => {
  const run = fc.record({
    text: fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n', '\t', '\u00a0', 'e\u0301', '😀'), maxLength: 80 }),
    style: fc.integer({ min: 0, max: 3 }),
  })
  const text = (runs: readonly Run[]) => runs.map((one) => one.text).join('')

  test('have all of it but white space, in its order, in its styles, and fit', () => {
    fc.assert(
      fc.property(
        fc.array(run, { maxLength: 8 }),
        fc.integer({ min: 1, max: 30 }),
        fc.boolean(),
        (runs, width, keep) => {
          const all = [...layoutLines(runs, width, measure, keep)]
          const bare = (value: string) => value.replaceAll(/[ \t\n]/g, '')
          for (const style of [0, 1, 2, 3]) {
            const of = (pieces: readonly Run[]) => bare(text(pieces.filter((one) => one.style === style)))
            expect(of(all.flat())).toBe(of(runs))
          }
          for (const line of all) {
            const last = line.at(-1)
            const wide = last === undefined ? 0 : last.x + measure(last.text)
            // A letter with its mark is as narrow as it gets.
            expect(wide).toBeLessThanOrEqual(Math.max(width, 2))
          }
        },
      ),
    )
  })
})
