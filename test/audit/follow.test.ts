import { appendFileSync, renameSync, statSync, truncateSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { followAudit } from '../../src/audit/follow.ts'
import { auditFileOf, auditPlacesIn, type AuditPlace } from '../../src/audit/places.ts'
import type { AuditFilter, AuditRecord } from '../../src/audit/reader.ts'
import { takeOverOldLog } from '../../src/controller/audit/take-over.ts'
import { openLog, outcome, SILENT, temporaryFile, until, written } from '../controller/audit/support.ts'

/** Collects what is followed until the test ends. */
function follow(file: string, filter: AuditFilter = {}, last?: number): AuditRecord[] {
  return followAll(() => [{ slot: null, file }], filter, last)
}

function followAll(places: () => readonly AuditPlace[], filter: AuditFilter = {}, last?: number): AuditRecord[] {
  const stop = new AbortController()
  const seen: AuditRecord[] = []
  const ended = (async () => {
    for await (const record of followAudit(places, filter, stop.signal, last)) seen.push(record)
  })()
  onTestFinished(() => {
    stop.abort()
    return ended
  })
  return seen
}

const marks = (records: readonly AuditRecord[]): unknown[] => records.map(({ record }) => record['decision_id'])

test('following from zero gives only the new ones', async () => {
  const file = await written(outcome('d-1'), outcome('d-2'))
  const seen = follow(file, {}, 0)
  const audit = await openLog(file)
  onTestFinished(() => audit.close())
  await until(async () => {
    await audit.append(outcome('d-new'))
    return seen.length > 0
  })
  expect(new Set(marks(seen))).toEqual(new Set(['d-new']))
})

test('following gives the last records and then the new ones', async () => {
  const file = await written(outcome('d-1'), outcome('d-2'), outcome('d-3'))
  const seen = follow(file, {}, 2)
  await until(() => seen.length === 2)
  const audit = await openLog(file)
  await audit.append(outcome('d-4'))
  await until(() => seen.length === 3)
  expect(marks(seen)).toEqual(['d-2', 'd-3', 'd-4'])
})

test('following waits for a file that is not there yet', async () => {
  const file = temporaryFile()
  const seen = follow(file)
  const audit = await openLog(file)
  await audit.append(outcome('d-1'))
  await until(() => seen.length === 1)
})

test('following goes on after the file was emptied and after it was replaced', async () => {
  const file = await written(outcome('d-1'), outcome('d-2'))
  const seen = follow(file)
  await until(() => seen.length === 2)
  truncateSync(file, 0)
  const emptied = await openLog(file)
  await emptied.append(outcome('d-3'))
  await until(() => seen.length === 3)
  renameSync(await written(outcome('d-4')), file)
  await until(() => seen.length === 4)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3', 'd-4'])
})

test('following loses nothing that was written before a rename, and goes on in the new file', async () => {
  const file = temporaryFile()
  const audit = await openLog(file)
  await audit.append(outcome('d-1'))
  const seen = follow(file)
  await until(() => seen.length === 1)
  await audit.append(outcome('d-2'))
  renameSync(file, `${file}.1`)
  await audit.append(outcome('d-3'))
  await until(() => seen.length === 4)
  expect(seen.map(({ record }) => record['decision_id'] ?? record.event)).toEqual([
    'd-1',
    'd-2',
    'audit_segment_opened',
    'd-3',
  ])
})

test('following notices that a file was cut in place and has grown beyond its old size since', async () => {
  const file = temporaryFile()
  const audit = await openLog(file)
  await audit.append(outcome('d-1'))
  const seen = follow(file)
  await until(() => seen.length === 1)
  truncateSync(file, 0)
  await Promise.all(['d-2', 'd-3', 'd-4', 'd-5'].map((mark) => audit.append(outcome(mark))))
  await until(() => seen.length === 6)
  expect(marks(seen)).toEqual(['d-1', undefined, 'd-2', 'd-3', 'd-4', 'd-5'])
})

test('following goes on where the writer took back a batch', async () => {
  const file = await written(outcome('d-1'))
  const { size } = statSync(file)
  const seen = follow(file)
  await until(() => seen.length === 1)
  appendFileSync(file, 'x'.repeat(2000))
  truncateSync(file, size)
  const audit = await openLog(file)
  await audit.append(outcome('d-2'))
  await until(() => seen.length === 2)
  await audit.append(outcome('d-3'))
  await until(() => seen.length > 2)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3'])
})

test('following all slots gives the last records of all by time, and then the new ones of each', async () => {
  const at = (mark: string, second: number) => ({ ...outcome(mark), timestamp: `2026-01-01T00:00:0${second}.000Z` })
  const files = [await written(at('a-1', 1), at('a-4', 4)), await written(at('b-2', 2), at('b-3', 3))]
  const seen = followAll(() => files.map((file, slot) => ({ slot, file })), {}, 3)
  await until(() => seen.length === 3)
  expect(marks(seen)).toEqual(['b-2', 'b-3', 'a-4'])
  const logs = await Promise.all(files.map((file) => openLog(file)))
  await logs[1]!.append(at('b-5', 5))
  await until(() => seen.length === 4)
  await logs[0]!.append(at('a-6', 6))
  await until(() => seen.length === 5)
  expect(marks(seen.slice(3))).toEqual(['b-5', 'a-6'])
})

test('following reads a slot that appears later from its beginning', async () => {
  const files = [await written(outcome('a-1'))]
  const seen = followAll(() => files.map((file, slot) => ({ slot, file })), {}, 0)
  const later = await written(outcome('b-1'), outcome('b-2'))
  files.push(later)
  await until(() => seen.length === 2)
  expect(marks(seen)).toEqual(['b-1', 'b-2'])
})

test('following waits for the first slot', async () => {
  const state = dirname(temporaryFile())
  const seen = followAll(() => auditPlacesIn(state))
  const audit = await openLog(auditFileOf(state, 1))
  await audit.append(outcome('b-1'))
  await until(() => seen.length === 1)
})

test('following goes on, without a repetition, when the log of an older version becomes that of slot 0', async () => {
  const file = await written(outcome('d-1'), outcome('d-2'))
  const state = dirname(file)
  const seen = followAll(() => auditPlacesIn(state))
  await until(() => seen.length === 2)
  await takeOverOldLog({ stateDir: state, sync: 'write', log: SILENT })
  const audit = await openLog(auditFileOf(state, 0))
  await audit.append(outcome('d-3'))
  await until(() => seen.length > 2)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3'])
})
