import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { auditFileOf, auditPlacesIn, oldAuditFileOf } from '../../src/audit/places.ts'

let state = ''
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'crank-places-'))
  onTestFinished(() => rmSync(state, { recursive: true, force: true }))
})

function put(...files: string[]): void {
  for (const file of files) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, '')
  }
}

test('each slot has a folder of its own', () => {
  expect([auditFileOf('/state', 0), auditFileOf('/state', 12)]).toEqual([
    '/state/audit/0/1.jsonl',
    '/state/audit/12/1.jsonl',
  ])
})

test('a folder without logs has none', () => {
  expect(auditPlacesIn(state)).toEqual([])
  expect(auditPlacesIn(join(state, 'nowhere'))).toEqual([])
})

test('finds the logs of all slots in the order of their numbers, and nothing else', () => {
  const slots = [10, 2, 0]
  put(...slots.map((slot) => auditFileOf(state, slot)))
  put(
    ...['00/1.jsonl', 'x/1.jsonl', '-1/1.jsonl', '3/1.jsonl.lock', '4/other.jsonl'].map((of) =>
      join(state, 'audit', of),
    ),
  )
  expect(auditPlacesIn(state)).toEqual([0, 2, 10].map((slot) => ({ slot, file: auditFileOf(state, slot) })))
})

test('until it is moved, the log of an older version is that of slot 0', () => {
  put(oldAuditFileOf(state), auditFileOf(state, 1))
  const second = { slot: 1, file: auditFileOf(state, 1) }
  expect(auditPlacesIn(state)).toEqual([{ slot: 0, file: oldAuditFileOf(state) }, second])
  put(auditFileOf(state, 0))
  expect(auditPlacesIn(state)).toEqual([{ slot: 0, file: auditFileOf(state, 0) }, second])
})

test('a folder that cannot be read is an error, not an empty one', () => {
  put(join(state, 'audit'))
  expect(() => auditPlacesIn(state)).toThrow('ENOTDIR')
})
