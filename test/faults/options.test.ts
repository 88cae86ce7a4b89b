// The options of the harness, its table, and what it says about wrong usage.
import { expect, test } from 'vitest'
import { parseOptions, USAGE, UsageError } from './options.ts'
import type { Result } from './runner.ts'
import { SCENARIOS } from './scenarios.ts'
import { missLines, resultTable, summary } from './table.ts'

const KNOWN = ['F1', 'F9', 'F10']
const parse = (...args: string[]) => parseOptions(args, KNOWN)

test('every fault of the matrix is there once, in order', () => {
  expect(SCENARIOS.map(({ id }) => id)).toEqual(Array.from({ length: 32 }, (_, n) => `F${n + 1}`))
})

test('what is not shown says why', () => {
  for (const scenario of SCENARIOS) {
    if ('notShown' in scenario) expect(scenario.notShown.length).toBeGreaterThan(20)
    else expect(scenario.run).toBeTypeOf('function')
  }
})

test('options are read', () => {
  expect(parse('--only', 'F9,F10', '--seed', '42', '--kills', '3', '--json', '/tmp/f.json')).toMatchObject({
    action: 'run',
    only: ['F9', 'F10'],
    seed: 42,
    amounts: { kills: 3 },
    json: '/tmp/f.json',
  })
  expect(parse()).toMatchObject({ action: 'run', only: [], seed: undefined, short: false })
  expect(parse('--short')).toMatchObject({ short: true, amounts: { kills: 2 } })
  expect(parse('--list').action).toBe('list')
  expect(parse('--help').action).toBe('help')
  expect(USAGE).toContain('--seed N')
})

test.each([
  [['--only', 'F99'], '--only F99: no such fault; --list names them'],
  [['--only', ''], '--only: name a fault, such as F9'],
  [['--seed', 'x'], '--seed x: give a whole number from 0 to 4294967295'],
  [['--seed', '4294967296'], 'give a whole number from 0 to 4294967295'],
  [['--kills', '0'], '--kills 0: give a whole number from 1 to 1000'],
  [['--colour'], "Unknown option '--colour'"],
  [['F9'], 'Unexpected argument'],
])('%j is refused with a sentence', (args, sentence) => {
  expect(() => parse(...args)).toThrow(UsageError)
  expect(() => parse(...args)).toThrow(sentence)
})

const result = (over: Partial<Result>): Result => ({
  id: 'F1',
  fault: 'a fault',
  expected: 'an end',
  seen: 'it',
  figure: '1 ms',
  verdict: 'held',
  misses: [],
  late: [],
  violations: [],
  seed: 5,
  seconds: 1.2,
  ...over,
})

test('the table says what was missed, and the lines below how to see it again', () => {
  const violations = [{ rule: 'd', says: 'key k was executed 2 times' }] as const
  const missed = result({ id: 'F9', verdict: 'missed', misses: ['an answer'], violations })
  const results = [result({}), missed, result({ verdict: 'not shown here' })]
  expect(resultTable(results)).toContain('| F9 | a fault | an end | MISSED: it | 1 ms |')
  expect(missLines(results)).toBe(
    'F9: not so: an answer\nF9: the history breaks rule (d): key k was executed 2 times\n' +
      'F9: run it again: npm run test:faults -- --only F9 --seed 5\n',
  )
  expect(summary(results)).toBe('1 held, 1 missed, 1 not shown here, in 4 s\n')
})
