import { expect, test } from 'vitest'
import { lineDiff } from '../../../src/cli/exception/line-diff.ts'

const text = (...lines: string[]): string => `${lines.join('\n')}\n`

test.each([
  ['nothing', text('a', 'b'), text('a', 'b'), []],
  ['a line more', text('a', 'b'), text('a', 'x', 'b'), ['  a', '+ x', '  b']],
  ['a line less', text('a', 'x', 'b'), text('a', 'b'), ['  a', '- x', '  b']],
  ['a line changed', text('a', 'b'), text('a', 'c'), ['  a', '- b', '+ c']],
  ['everything', text('a'), text('b'), ['- a', '+ b']],
  ['one of equal lines', text('a', 'a'), text('a', 'a', 'a'), ['  a', '  a', '+ a']],
  [
    'the middle of many',
    text('1', '2', '3', '4', '5', '6', '7', '8', '9'),
    text('1', '2', '3', '4', '6', '7', '8', '9'),
    ['  2', '  3', '  4', '- 5', '  6', '  7', '  8'],
  ],
])('%s', (_what, before, after, lines) => {
  expect(lineDiff(before, after)).toEqual(lines)
})
