import { appendFileSync, readFileSync, renameSync, statSync, truncateSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { followAudit } from '../../src/audit/follow.ts'
import { auditChainsIn, auditDirIn, chainsAt, oldAuditFile, type AuditChain } from '../../src/audit/places.ts'
import type { AuditFilter, AuditRecord } from '../../src/audit/reader.ts'
import { takeOverOldLog } from '../../src/controller/audit/take-over.ts'
import { compressSegment } from '../../src/audit/compress.ts'
import { slotOf } from '../fixtures/audit-log.ts'
import {
  isSealed,
  newest,
  openLog,
  outcome,
  SILENT,
  temporaryLog,
  unseal,
  until,
  written,
} from '../controller/audit/support.ts'

/** Collects what is followed until the test ends. */
function follow(log: string, filter: AuditFilter = {}, last?: number): AuditRecord[] {
  return followAll(() => chainsAt(log), filter, last)
}

function followAll(chains: () => readonly AuditChain[], filter: AuditFilter = {}, last?: number): AuditRecord[] {
  const stop = new AbortController()
  const seen: AuditRecord[] = []
  const ended = (async () => {
    for await (const record of followAudit(chains, filter, stop.signal, { ...(last !== undefined && { last }) }))
      seen.push(record)
  })()
  onTestFinished(() => {
    stop.abort()
    return ended
  })
  return seen
}

const chainsOf = (logs: readonly string[]): AuditChain[] =>
  logs.flatMap((log, slot) => chainsAt(log).map((chain) => ({ ...chain, slot })))
const marks = (records: readonly AuditRecord[]): unknown[] =>
  records.filter(({ record }) => record.event !== 'audit_segment_opened').map(({ record }) => record['decision_id'])

test('following from zero gives only the new ones', async () => {
  const log = await written(outcome('d-1'), outcome('d-2'))
  const seen = follow(log, {}, 0)
  const audit = await openLog(log)
  onTestFinished(() => audit.close())
  await until(async () => {
    await audit.append(outcome('d-new'))
    return seen.length > 0
  })
  expect(new Set(marks(seen))).toEqual(new Set(['d-new']))
})

test('following gives the last records and then the new ones', async () => {
  const log = await written(outcome('d-1'), outcome('d-2'), outcome('d-3'))
  const seen = follow(log, {}, 2)
  await until(() => seen.length === 2)
  const audit = await openLog(log)
  await audit.append(outcome('d-4'))
  await until(() => seen.length === 4)
  expect(marks(seen)).toEqual(['d-2', 'd-3', 'd-4'])
})

test('following waits for a file that is not there yet', async () => {
  const log = temporaryLog()
  const seen = follow(log)
  const audit = await openLog(log)
  await audit.append(outcome('d-1'))
  await until(() => seen.length === 1)
})

test('following a file goes on after it was emptied and after it was replaced', async () => {
  const file = unseal(newest(await written(outcome('d-1'), outcome('d-2'))))
  const seen = follow(file)
  await until(() => seen.length === 2)
  const other = readFileSync(newest(await written(outcome('d-3'))))
  truncateSync(file, 0)
  appendFileSync(file, other)
  await until(() => seen.length === 3)
  renameSync(newest(await written(outcome('d-4'))), file)
  await until(() => seen.length === 4)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3', 'd-4'])
})

test('following goes on in the next segment, and loses nothing of one that was renamed meanwhile', async () => {
  const log = temporaryLog()
  const audit = await openLog(log)
  await audit.append(outcome('d-1'))
  const seen = follow(log)
  await until(() => seen.length === 1)
  await audit.append(outcome('d-2'))
  renameSync(newest(log), `${newest(log)}.old`)
  await audit.append(outcome('d-3'))
  await audit.rotate()
  await audit.append(outcome('d-4'))
  await until(() => seen.length === 6)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3', 'd-4'])
})

test('following does not begin again when a segment is compressed', async () => {
  const log = temporaryLog()
  const audit = await openLog(log)
  await audit.append(outcome('d-1'))
  const seen = follow(log)
  await until(() => seen.length === 1)
  const first = newest(log)
  await audit.rotate()
  await until(() => isSealed(first))
  compressSegment(first)
  await audit.append(outcome('d-2'))
  await until(() => seen.length === 3)
  expect(marks(seen)).toEqual(['d-1', 'd-2'])
})

test('following begins with the last records of whichever segment has them', async () => {
  const log = temporaryLog()
  const audit = await openLog(log)
  for (const mark of ['d-1', 'd-2', 'd-3']) {
    await audit.append(outcome(mark))
    const last = newest(log)
    await audit.rotate()
    await until(() => isSealed(last))
    if (mark === 'd-1') compressSegment(last)
  }
  const seen = follow(log, { cap: 'stream:text_events' }, 3)
  await until(() => seen.length === 3)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3'])
})

test('following goes on where the writer took back a batch', async () => {
  const file = unseal(newest(await written(outcome('d-1'))))
  const { size } = statSync(file)
  const seen = follow(file)
  await until(() => seen.length === 1)
  appendFileSync(file, 'x'.repeat(2000))
  truncateSync(file, size)
  const [second, third] = readFileSync(newest(await written(outcome('d-2'), outcome('d-3'))), 'utf8').split('\n')
  appendFileSync(file, `${second}\n`)
  await until(() => seen.length === 2)
  appendFileSync(file, `${third}\n`)
  await until(() => seen.length > 2)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3'])
})

test('following all slots gives the last records of all by time, and then the new ones of each', async () => {
  const at = (mark: string, second: number) => ({ ...outcome(mark), timestamp: `2026-01-01T00:00:0${second}.000Z` })
  const logs = [await written(at('a-1', 1), at('a-4', 4)), await written(at('b-2', 2), at('b-3', 3))]
  const seen = followAll(() => chainsOf(logs), {}, 3)
  await until(() => seen.length === 3)
  expect(marks(seen)).toEqual(['b-2', 'b-3', 'a-4'])
  const open = await Promise.all(logs.map((log) => openLog(log)))
  await open[1]!.append(at('b-5', 5))
  await until(() => marks(seen).length === 4)
  await open[0]!.append(at('a-6', 6))
  await until(() => marks(seen).length === 5)
  expect(marks(seen).slice(3)).toEqual(['b-5', 'a-6'])
})

test('following reads a slot that appears later from its beginning', async () => {
  const logs = [await written(outcome('a-1'))]
  const seen = followAll(() => chainsOf(logs), {}, 0)
  const later = await written(outcome('b-1'), outcome('b-2'))
  logs.push(later)
  await until(() => seen.length === 2)
  expect(marks(seen)).toEqual(['b-1', 'b-2'])
})

test('following waits for the first slot', async () => {
  const state = dirname(temporaryLog())
  const seen = followAll(() => auditChainsIn(auditDirIn(state), state))
  const audit = await openLog(slotOf(state, 1))
  await audit.append(outcome('b-1'))
  await until(() => seen.length === 1)
})

test('following goes on, without a repetition, when the log of an older version becomes that of slot 0', async () => {
  const log = await written(outcome('d-1'), outcome('d-2'))
  const state = dirname(dirname(log))
  renameSync(unseal(newest(log)), oldAuditFile(state))
  const seen = followAll(() => auditChainsIn(auditDirIn(state), state))
  await until(() => seen.length === 2)
  await takeOverOldLog({ stateDir: state, sync: 'write', log: SILENT })
  const audit = await openLog(slotOf(state, 0))
  await audit.append(outcome('d-3'))
  await until(() => seen.length > 3)
  expect(marks(seen)).toEqual(['d-1', 'd-2', 'd-3'])
})
