import fc from 'fast-check'
import { expect, test } from 'vitest'
import { wellFormedExceptions } from '../../../src/policy/data/exception-entries.ts'
import { parseExceptions } from '../../../src/policy/data/exceptions.ts'

const A = 'spiffe://crank.local/worker/a'
const END = 1795514400000000001n

const lasting = { expires_after: END, reason: 'r', owner: 'o', created_at: '2026-11-24T10:00:00Z' }
const base = fc.constantFrom<object>(
  { temporary_allow_all: true, ...lasting },
  { capabilities: ['c:d', 'a:b', 'c:d'], ...lasting },
  { temporary_allow_all: false, capabilities: ['c:d'], ...lasting },
)
/** What each member may be instead; undefined: it is missing. */
const INSTEAD: Readonly<Record<string, readonly unknown[]>> = {
  temporary_allow_all: [true, false, null, 'true', 1],
  capabilities: [['e:f'], [], ['C:d'], ['a'], ['a:b:c'], [1], 'c:d', null, {}],
  expires_after: [END + 1n, 1795514400000000000, 0, 0n, -1n, 1.5, Number.NaN, 5, 10n ** 22n, '1'],
  reason: ['x', '', 1, null],
  owner: ['x', '', 1],
  created_at: ['2026-11-24T10:00:00.5Z', '2026-11-24', '2026-02-30T10:00:00Z', '2026-11-24T10:00:00+01:00', '', 7],
  more: [1],
}
const change = fc
  .constantFrom(...Object.keys(INSTEAD))
  .chain((name) =>
    fc.constantFrom(...(INSTEAD[name] ?? []), undefined).map((value): [string, unknown] => [name, value]),
  )
const entry = fc
  .tuple(base, fc.array(change, { maxLength: 2 }))
  .map(([from, changes]) =>
    Object.fromEntries(
      Object.entries({ ...from, ...Object.fromEntries(changes) }).filter(([, value]) => value !== undefined),
    ),
  )
const identity = fc.constantFrom(A, `${A}/b`, A, '*')
const value = fc.oneof({ weight: 20, arbitrary: entry }, fc.constantFrom(null, [], 'x'))
const file = fc.oneof(
  { weight: 20, arbitrary: fc.dictionary(identity, value, { minKeys: 1, maxKeys: 2 }) },
  fc.constantFrom<unknown>(null, [], 'x', 1, {}),
)

test('are read without the schemas exactly where the schemas find no fault', () => {
  let [good, bad] = [0, 0]
  fc.assert(
    fc.property(file, fc.constantFrom({}, { maxDays: 1 }, { nowMs: Date.UTC(2026, 10, 25) }), (value, limits) => {
      const { entries, faults } = parseExceptions(value, limits)
      const read = wellFormedExceptions(value, limits)
      expect(read).toEqual(faults.length === 0 ? entries : undefined)
      if (read === undefined) bad++
      else good += read.length
    }),
    { numRuns: 3000 },
  )
  expect(good).toBeGreaterThan(100)
  expect(bad).toBeGreaterThan(100)
})
