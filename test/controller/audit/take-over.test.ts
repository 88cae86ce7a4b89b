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
import { dirname } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { auditFileOf, oldAuditFileOf } from '../../../src/audit/places.ts'
import { verifyAudit } from '../../../src/audit/verify.ts'
import { AuditFileError } from '../../../src/controller/audit/audit-file-error.ts'
import { lockAuditFile } from '../../../src/controller/audit/lock.ts'
import { takeOverOldLog } from '../../../src/controller/audit/take-over.ts'
import { openLog, outcome, recordsOf, SILENT, temporaryFile, written } from './support.ts'

type Places = { readonly state: string; readonly from: string; readonly to: string }

const placesIn = (state: string): Places => ({ state, from: oldAuditFileOf(state), to: auditFileOf(state, 0) })

/** A state folder in which an older version wrote two records. */
const oldState = async (): Promise<Places> => placesIn(dirname(await written(outcome('old-1'), outcome('old-2'))))

const takeOver = (stateDir: string, sync: 'fsync' | 'write' = 'fsync') =>
  takeOverOldLog({ stateDir, sync, log: SILENT })

const marksOf = (file: string): unknown[] => recordsOf(file).map((record) => record['decision_id'] ?? record['event'])

/** What a start does after the file was taken over. */
async function goOn({ to }: Places): Promise<void> {
  const audit = await openLog(to)
  await audit.append(outcome('new'))
  await audit.close()
  expect(await verifyAudit(to)).toMatchObject({ ok: true })
}

for (const sync of ['fsync', 'write'] as const) {
  test(`the log of an older version becomes that of slot 0, and its chain goes on (${sync})`, async () => {
    const places = await oldState()
    await takeOver(places.state, sync)
    expect(existsSync(places.from)).toBe(false)
    await goOn(places)
    expect(marksOf(places.to)).toEqual(['old-1', 'old-2', 'new'])
    const modes = [places.to, dirname(places.to), dirname(dirname(places.to))].map(
      (path) => statSync(path).mode & 0o777,
    )
    expect(modes).toEqual([0o600, 0o700, 0o700])
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
  const { state, from, to } = placesIn(dirname(temporaryFile()))
  await takeOver(state)
  expect([state, from, to, `${from}.lock`].filter((path) => existsSync(path))).toEqual([])
})

test('a torn tail moves too, and the start repairs it there', async () => {
  const places = await oldState()
  truncateSync(places.from, statSync(places.from).size - 10)
  await takeOver(places.state)
  await goOn(places)
  expect(marksOf(places.to)).toEqual(['old-1', 'audit_repaired', 'new'])
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
    expect(marksOf(places.to)).toEqual(['old-1', 'old-2', 'new'])
  })
}

test('with a log at both places the start is refused with what to do, and neither is touched', async () => {
  const { state, from, to } = await oldState()
  mkdirSync(dirname(to), { recursive: true })
  renameSync(await written(outcome('new-1')), to)
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
  const older = await openLog(places.from)
  await expect(takeOver(places.state)).rejects.toThrow('is in use: another controller writes to it')
  await older.append(outcome('old-3'))
  await older.close()
  await takeOver(places.state)
  await goOn(places)
  expect(marksOf(places.to)).toEqual(['old-1', 'old-2', 'old-3', 'new'])
})

test('an older controller cannot start on the file while it is moved', async () => {
  const { state, from } = await oldState()
  const lock = lockAuditFile(from)
  await expect(openLog(from)).rejects.toThrow('another controller writes to it')
  await expect(takeOver(state)).rejects.toThrow('another controller writes to it')
  lock.free()
  await takeOver(state)
})

test('an empty file in slot 0, which a failed start leaves, is replaced, but not under a controller that has it', async () => {
  const places = await oldState()
  const other = await openLog(places.to)
  await expect(takeOver(places.state)).rejects.toThrow(`audit file ${places.to} is in use`)
  await other.close()
  await takeOver(places.state)
  await goOn(places)
  expect(marksOf(places.to)).toEqual(['old-1', 'old-2', 'new'])
})

test('an empty file at the old place is no log, and stays', async () => {
  const places = placesIn(dirname(await written(outcome('old-1'))))
  await takeOver(places.state)
  writeFileSync(places.from, '')
  await takeOver(places.state)
  await goOn(places)
  expect(existsSync(places.from)).toBe(true)
})

test('a link is refused: what it leads to may be meant for another disk', async () => {
  const { state, from, to } = placesIn(dirname(await written(outcome('old-1'))))
  renameSync(from, `${from}.real`)
  symlinkSync(`${from}.real`, from)
  await expect(takeOver(state)).rejects.toThrow(`to keep writing there, set CRANK_AUDIT_FILE to it`)
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
