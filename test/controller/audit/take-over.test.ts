import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { oldAuditFile, segmentFile } from '../../../src/audit/places.ts'
import { AuditFileError } from '../../../src/controller/audit/audit-file-error.ts'
import { lockAuditFile, lockAuditFolder } from '../../../src/controller/audit/lock.ts'
import { takeOverOldLog } from '../../../src/controller/audit/take-over.ts'
import { slotOf, verifyLog } from '../../fixtures/audit-log.ts'
import { newest, openLog, outcome, recordsOf, SILENT, temporaryLog, unseal, written } from './support.ts'

/** `from`: the file of the older version. `log`: the folder of slot 0, `to` its first segment. */
type Places = { readonly state: string; readonly from: string; readonly log: string; readonly to: string }

function placesIn(state: string): Places {
  const log = slotOf(state, 0)
  return { state, from: oldAuditFile(state), log, to: segmentFile(log, 1) }
}

/** A state folder in which an older version wrote these records, as one file. */
async function oldState(...marks: readonly string[]): Promise<Places> {
  const events = (marks.length === 0 ? ['old-1', 'old-2'] : marks).map((mark) => outcome(mark))
  const segment = newest(await written(...events))
  const places = placesIn(join(dirname(dirname(dirname(segment))), 'older'))
  mkdirSync(places.state)
  renameSync(unseal(segment), places.from)
  return places
}

const takeOver = (stateDir: string, sync: 'fsync' | 'write' = 'fsync') =>
  takeOverOldLog({ stateDir, sync, log: SILENT })

const marksOf = (log: string): unknown[] =>
  recordsOf(log)
    .filter(({ event }) => event !== 'audit_segment_opened')
    .map((record) => record['decision_id'] ?? record['event'])

/** What a start does after the file was taken over. */
async function goOn({ log }: Places): Promise<void> {
  const audit = await openLog(log)
  await audit.append(outcome('new'))
  await audit.close()
  expect(await verifyLog(log)).toMatchObject({ ok: true })
}

for (const sync of ['fsync', 'write'] as const) {
  test(`the log of an older version becomes that of slot 0, and its chain goes on (${sync})`, async () => {
    const places = await oldState()
    await takeOver(places.state, sync)
    expect(existsSync(places.from)).toBe(false)
    await goOn(places)
    expect(marksOf(places.log)).toEqual(['old-1', 'old-2', 'new'])
    const modes = [places.to, dirname(places.to), dirname(dirname(places.to))].map(
      (path) => statSync(path).mode & 0o777,
    )
    expect(modes).toEqual([0o400, 0o700, 0o700])
  })
}

test('one log line says what was moved; a start that moves nothing has none', async () => {
  const { state, from, to } = await oldState()
  const lines: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
  await takeOverOldLog({ stateDir: state, sync: 'write', log })
  await takeOverOldLog({ stateDir: state, sync: 'write', log })
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([{ event: 'audit_moved', from, to }])
})

test('without a log of an older version nothing is made', async () => {
  const { state, from, to } = placesIn(dirname(temporaryLog()))
  await takeOver(state)
  expect([state, from, to, `${from}.lock`].filter((path) => existsSync(path))).toEqual([])
})

test('a torn tail moves too, and the start repairs it there', async () => {
  const places = await oldState()
  truncateSync(places.from, statSync(places.from).size - 10)
  await takeOver(places.state)
  await goOn(places)
  expect(marksOf(places.log)).toEqual(['old-1', 'audit_repaired', 'new'])
})

const crashes: Record<string, (places: Places) => void> = {
  'after the folder was made': ({ to }) => mkdirSync(dirname(to), { recursive: true }),
  'while it held the lock': ({ from }) => writeFileSync(`${from}.lock`, ''),
  'after the file was moved': ({ from, to }) => {
    mkdirSync(dirname(to), { recursive: true })
    renameSync(from, to)
  },
}
for (const [when, crash] of Object.entries(crashes)) {
  test(`a start that was killed ${when} is finished by the next one`, async () => {
    const places = await oldState()
    crash(places)
    await takeOver(places.state)
    expect(existsSync(places.from)).toBe(false)
    await goOn(places)
    expect(marksOf(places.log)).toEqual(['old-1', 'old-2', 'new'])
  })
}

test('with a log at both places the start is refused with what to do, and neither is touched', async () => {
  const { state, from, to } = await oldState()
  mkdirSync(dirname(to), { recursive: true })
  renameSync(newest(await written(outcome('new-1'))), to)
  const contents = [from, to].map((file) => readFileSync(file, 'utf8'))
  const refused = takeOver(state)
  await expect(refused).rejects.toBeInstanceOf(AuditFileError)
  await expect(refused).rejects.toThrow(`move ${from} to your archive, then start again`)
  expect([from, to].map((file) => readFileSync(file, 'utf8'))).toEqual(contents)
  renameSync(from, `${from}.archived`)
  await takeOver(state)
  expect(marksOf(to)).toEqual(['new-1'])
})

test('while an older controller writes to its log, the start is refused', async () => {
  const places = await oldState()
  const older = lockAuditFile(places.from)
  await expect(takeOver(places.state)).rejects.toThrow(`audit file ${places.from} is in use: another controller writes`)
  older.free()
  await takeOver(places.state)
  await goOn(places)
  expect(marksOf(places.log)).toEqual(['old-1', 'old-2', 'new'])
})

test('an empty file in slot 0, which a failed start leaves, is replaced, but not under a controller that has it', async () => {
  const places = await oldState()
  mkdirSync(places.log, { recursive: true })
  writeFileSync(places.to, '')
  const other = lockAuditFolder(places.log)
  await expect(takeOver(places.state)).rejects.toThrow(`audit folder ${places.log} is in use`)
  other.free()
  await takeOver(places.state)
  await goOn(places)
  expect(marksOf(places.log)).toEqual(['old-1', 'old-2', 'new'])
})

test('an empty file at the old place is no log, and stays', async () => {
  const places = await oldState('old-1')
  await takeOver(places.state)
  writeFileSync(places.from, '')
  await takeOver(places.state)
  await goOn(places)
  expect(existsSync(places.from)).toBe(true)
})

test('a link is refused: what it leads to may be meant for another disk', async () => {
  const { state, from, to } = await oldState('old-1')
  renameSync(from, `${from}.real`)
  symlinkSync(`${from}.real`, from)
  await expect(takeOver(state)).rejects.toThrow(`put the file itself there to continue its chain`)
  expect(existsSync(to)).toBe(false)
})

test('a file of somebody else at the old place is refused, and stays as it is', async () => {
  const { state, from, to } = await oldState()
  appendFileSync(from, 'somebody else was here\n')
  const before = readFileSync(from, 'utf8')
  await expect(takeOver(state)).rejects.toThrow(`audit file ${from}: its last record is damaged`)
  expect(readFileSync(from, 'utf8')).toBe(before)
  expect(existsSync(to)).toBe(false)
})

test('the part of a log that logrotate left is named after its first record', async () => {
  const places = await oldState()
  const log = temporaryLog()
  const audit = await openLog(log)
  await audit.append(outcome('old-1'))
  await audit.rotate()
  await audit.append(outcome('old-3'))
  await audit.close()
  renameSync(unseal(newest(log)), places.from)
  await takeOver(places.state)
  expect(marksOf(segmentFile(places.log, 2))).toEqual(['old-3'])
  const next = await openLog(places.log)
  await next.append(outcome('new'))
  expect(marksOf(places.log)).toEqual(['old-3', 'new'])
})
