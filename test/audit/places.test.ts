import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import {
  auditChainsIn,
  auditDirIn,
  chainsAt,
  oldAuditFile,
  segmentFile,
  segmentsIn,
  slotFolder,
} from '../../src/audit/places.ts'

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

const slot = (number: number): string => slotFolder(auditDirIn(state), number)

test('each slot has a folder of its own, and each segment the name of its first record', () => {
  expect(segmentFile(slotFolder(auditDirIn('/state'), 12), 1)).toBe('/state/audit/12/1.jsonl')
})

test('a folder without logs has none', () => {
  expect(auditChainsIn(auditDirIn(state), state)).toEqual([])
  expect(auditChainsIn(join(state, 'nowhere'))).toEqual([])
})

test('segments are in the order of their numbers; of two forms of one, the one that is not compressed counts', () => {
  const names = ['10.jsonl', '9.jsonl.zst', '1.jsonl.zst', '1.jsonl', '100.jsonl.zst']
  put(...names.map((name) => join(slot(0), name)))
  put(...['0.jsonl', '01.jsonl', '2.jsonl.1', '3.jsonl.zst.part', 'x.jsonl', '4.json'].map((of) => join(slot(0), of)))
  const expected = ['1.jsonl', '9.jsonl.zst', '10.jsonl', '100.jsonl.zst']
  expect(segmentsIn(slot(0))).toEqual(
    expected.map((name) => ({ firstSeq: Number.parseInt(name, 10), file: join(slot(0), name) })),
  )
})

test('finds the chains of all slots in the order of their numbers, and nothing else', () => {
  put(...[10, 2, 0].map((number) => join(slot(number), '1.jsonl')))
  put(
    ...['00/1.jsonl', 'x/1.jsonl', '-1/1.jsonl', '3/writer.lock', '4/other.jsonl'].map((of) =>
      join(state, 'audit', of),
    ),
  )
  const chains = [0, 2, 10].map((number) => ({
    slot: number,
    place: slot(number),
    segments: [{ firstSeq: 1, file: join(slot(number), '1.jsonl') }],
  }))
  expect(auditChainsIn(auditDirIn(state), state)).toEqual(chains)
  expect(chainsAt(auditDirIn(state))).toEqual(chains)
  expect(chainsAt(slot(2))).toEqual([{ ...chains[1], slot: null }])
})

test('a path that somebody named may be a segment, or any copy', () => {
  put(join(slot(0), '7.jsonl.zst'))
  const file = join(slot(0), '7.jsonl.zst')
  expect(chainsAt(file)).toEqual([{ slot: null, place: file, segments: [{ firstSeq: 7, file }] }])
  expect(chainsAt('/a/copy')).toEqual([{ slot: null, place: '/a/copy', segments: [{ firstSeq: 1, file: '/a/copy' }] }])
})

test('until it is moved, the log of an older version is that of slot 0', () => {
  const old = oldAuditFile(state)
  put(old, join(slot(1), '1.jsonl'))
  const places = () => auditChainsIn(auditDirIn(state), state).map(({ slot: of, place }) => [of, place])
  expect(places()).toEqual([
    [0, old],
    [1, slot(1)],
  ])
  put(join(slot(0), '1.jsonl'))
  expect(places()).toEqual([
    [0, slot(0)],
    [1, slot(1)],
  ])
})

test('a folder that cannot be read is an error, not an empty one', () => {
  put(join(state, 'audit'))
  expect(() => auditChainsIn(auditDirIn(state))).toThrow('ENOTDIR')
})
