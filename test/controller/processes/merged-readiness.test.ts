import { expect, test } from 'vitest'
import { mergeReadiness } from '../../../src/controller/processes/merged-readiness.ts'
import type { Readiness } from '../../../src/controller/readiness.ts'

const told = (reason?: string, ok = true): Readiness => ({
  status: ok ? 'ready' : 'not_ready',
  checks: [
    { name: 'policy', ok: true },
    { name: 'audit', ok, ...(reason !== undefined && { reason }) },
  ],
})
const both = { name: 'processes', ok: true }

test.each([
  ['ready if all are', [told(), told()], 'ready', { name: 'audit', ok: true }, both],
  [
    'not ready if one is not, and says which',
    [told(), told('disk full', false)],
    'not_ready',
    { name: 'audit', ok: false, reason: 'process 1: disk full' },
    both,
  ],
  [
    'as short where all say the same',
    [told('slow disk'), told('slow disk')],
    'ready',
    { name: 'audit', ok: true, reason: 'slow disk' },
    both,
  ],
  [
    'ready while one is replaced, and says so',
    [told(), undefined],
    'ready',
    { name: 'audit', ok: true },
    { ...both, reason: '1 of 2 processes serve' },
  ],
] as const)('%s', (_, [first, second], status, audit, processes) => {
  const merged = mergeReadiness([
    [0, first],
    [1, second],
  ])
  expect(merged).toEqual({ status, checks: [{ name: 'policy', ok: true }, audit, processes] })
})

test('not ready while none serves', () => {
  const none = mergeReadiness([
    [0, undefined],
    [1, undefined],
  ])
  expect(none).toEqual({
    status: 'not_ready',
    checks: [{ name: 'processes', ok: false, reason: '0 of 2 processes serve' }],
  })
})
