// Coverage counts for the policies themselves; tests and shared test data may leave lines out.
import { expect, test } from 'vitest'
import { uncovered } from '../../scripts/check-policy.ts'

const report = (files: object) => JSON.stringify({ files })

test('full coverage leaves nothing to say', () => {
  expect(uncovered(report({ 'policies/a.rego': { coverage: 100 } }))).toEqual([])
})

test('names file and lines that no test reaches', () => {
  const file = { coverage: 80, not_covered: [{ start: { row: 3 } }, { start: { row: 7 } }] }
  expect(uncovered(report({ 'policies/a.rego': file }))).toEqual(['policies/a.rego: line 3, 7 not covered'])
})

test('counts a file that was never run at all', () => {
  expect(uncovered(report({ 'policies/a.rego': {} }))).toHaveLength(1)
})

test('does not ask it of the tests', () => {
  expect(uncovered(report({ 'policies/a_test.rego': { coverage: 10 } }))).toEqual([])
})
