import { appendFileSync, mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { AuditFileError } from '../../../src/controller/audit/audit-file-error.ts'
import { verifyAudit } from '../../../src/audit/verify.ts'
import { openLog, outcome, recordsOf, temporaryFile } from './support.ts'

async function fileWithRecords(count: number): Promise<string> {
  const file = temporaryFile()
  const audit = await openLog(file)
  for (let i = 1; i <= count; i++) await audit.append(outcome(`mark-${i}`))
  await audit.close()
  return file
}

for (const sync of ['fsync', 'write'] as const) {
  test(`concurrent appends keep their order and make one chain (${sync})`, async () => {
    const file = temporaryFile()
    const audit = await openLog(file, { sync })
    const marks = Array.from({ length: 2000 }, (_, i) => `mark-${i}`)
    await Promise.all(marks.map((mark) => audit.append(outcome(mark))))
    expect(recordsOf(file).map((record) => record['decision_id'])).toEqual(marks)
    expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 2000, head: audit.health().head })
  })
}

test('a record is in the file when its append resolves', async () => {
  const file = temporaryFile()
  const audit = await openLog(file)
  await audit.append(outcome('here'))
  expect(recordsOf(file)).toMatchObject([{ v: 1, seq: 1, prev: '0'.repeat(64), decision_id: 'here' }])
})

test('the file is for its owner only, and so is the folder that was made for it', async () => {
  const file = temporaryFile()
  await openLog(file)
  const modes = [file, `${file}.lock`, dirname(file)].map((path) => (statSync(path).mode & 0o777).toString(8))
  expect(modes).toEqual(['600', '600', '700'])
})

test('the chain goes on after the log is opened again', async () => {
  const file = await fileWithRecords(3)
  const audit = await openLog(file)
  await audit.append(outcome('next'))
  expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 4 })
})

test('a torn last line is cut off, recorded and logged', async () => {
  const file = await fileWithRecords(3)
  truncateSync(file, statSync(file).size - 10)
  const lines: string[] = []
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const before = recordsOf(file).length
  const torn = readFileSync(file).length - readFileSync(file).lastIndexOf('\n') - 1
  await openLog(file, { log: pino(destination) })
  expect(before).toBe(2)
  expect(recordsOf(file)[2]).toMatchObject({ seq: 3, event: 'audit_repaired', bytes_removed: torn })
  expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 3 })
  expect(JSON.parse(lines[0]!)).toMatchObject({ event: 'audit_repaired', bytes_removed: torn })
})

const tails: Record<string, string> = {
  'a single character': '{',
  'a last line that is not JSON': '{"v":1,"seq":4,"pr\0\0\0\0\0\0\n',
  'more than one reading step': `{"v":1,"seq":4,"pr${'\0'.repeat(200_000)}`,
  'zeros that a power cut left': '\0'.repeat(70_000),
}
for (const [name, tail] of Object.entries(tails)) {
  test(`repairs a torn tail: ${name}`, async () => {
    const file = await fileWithRecords(3)
    appendFileSync(file, tail)
    await openLog(file)
    expect(recordsOf(file)[3]).toMatchObject({ event: 'audit_repaired', bytes_removed: tail.length })
    expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 4 })
  })
}

test('repairs a file that is nothing but a torn line', async () => {
  const file = temporaryFile()
  mkdirSync(dirname(file))
  writeFileSync(file, '{"v":1,"se')
  await openLog(file)
  expect(recordsOf(file)).toMatchObject([{ seq: 1, event: 'audit_repaired', bytes_removed: 10 }])
})

test('does not go on from a last record that was changed', async () => {
  const file = await fileWithRecords(3)
  const changed = readFileSync(file, 'utf8').replace('mark-3', 'mark-4')
  writeFileSync(file, changed)
  await expect(openLog(file)).rejects.toThrow(/last record is damaged \(hash_mismatch\).*crank audit verify/)
  expect(readFileSync(file, 'utf8')).toBe(changed)
})

test('does not cut off more than one line', async () => {
  const file = await fileWithRecords(3)
  appendFileSync(file, 'not json\nnor this')
  await expect(openLog(file)).rejects.toThrow(AuditFileError)
})

test('a second log on the same file is refused, by whatever name', async () => {
  const file = temporaryFile()
  const audit = await openLog(file)
  const other = join(dirname(file), 'other.jsonl')
  symlinkSync(file, other)
  await expect(openLog(file)).rejects.toThrow(`audit file ${file} is in use: another controller writes to it`)
  await expect(openLog(other)).rejects.toThrow(AuditFileError)
  await audit.append(outcome('still mine'))
  await audit.close()
  await openLog(other)
})

const strangers: Record<string, string> = {
  'one line': '127.0.0.1 localhost\n',
  'one line without an end': 'hello',
  'two lines': '127.0.0.1 localhost\n10.0.0.7 db\n',
  'the JSON lines of another log': '{"level":30,"msg":"x"}\n{"level":30,"msg":"y"}\n',
  'the beginning of other JSON': '{"version":1}',
  zeros: '\0'.repeat(100),
  'an empty line': '\n',
}
for (const [name, content] of Object.entries(strangers)) {
  test(`refuses somebody else's file and leaves it as it is: ${name}`, async () => {
    const file = temporaryFile()
    mkdirSync(dirname(file))
    writeFileSync(file, content)
    await expect(openLog(file)).rejects.toThrow(/is not an audit log .*CRANK_AUDIT_FILE/)
    expect(readFileSync(file, 'utf8')).toBe(content)
  })
}

const behindRecords: Record<string, string> = {
  'a line that is not a record': 'note to self\n',
  'a beginning of another line': 'note to se',
  'a beginning of the record of another chain': `{"v":1,"seq":4,"prev":"${'0'.repeat(64)}","ha`,
  'a record cut by hand, line feed and all': '{"v":1,"seq":4,"prev":"\n',
}
for (const [name, content] of Object.entries(behindRecords)) {
  test(`does not cut off what its own writer cannot have left behind records: ${name}`, async () => {
    const file = await fileWithRecords(3)
    appendFileSync(file, content)
    const before = readFileSync(file, 'utf8')
    await expect(openLog(file)).rejects.toThrow(/last record is damaged \(not_json\)/)
    expect(readFileSync(file, 'utf8')).toBe(before)
  })
}
