import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { AuditFileError } from '../../../src/controller/audit/audit-file-error.ts'
import { compressSegment } from '../../../src/audit/compress.ts'
import type { Head } from '../../../src/audit/chain.ts'
import { checkpointOf, newKey, writeCheckpoint } from '../../cli/proven-log.ts'
import { segmentFiles, verifyLog } from '../../fixtures/audit-log.ts'
import { isSealed, newest, openLog, outcome, recordsOf, temporaryLog, unseal } from './support.ts'

async function logWithRecords(count: number): Promise<string> {
  const log = temporaryLog()
  const audit = await openLog(log)
  for (let i = 1; i <= count; i++) await audit.append(outcome(`mark-${i}`))
  await audit.close()
  return log
}

/** @returns how many bytes of an incomplete line are left */
function cutTail(log: string): number {
  const file = unseal(newest(log))
  truncateSync(file, statSync(file).size - 10)
  return readFileSync(file).length - readFileSync(file).lastIndexOf('\n') - 1
}

for (const sync of ['fsync', 'write'] as const) {
  test(`concurrent appends keep their order and make one chain (${sync})`, async () => {
    const log = temporaryLog()
    const audit = await openLog(log, { sync })
    const marks = Array.from({ length: 2000 }, (_, i) => `mark-${i}`)
    await Promise.all(marks.map((mark) => audit.append(outcome(mark))))
    expect(recordsOf(log).map((record) => record['decision_id'])).toEqual(marks)
    expect(await verifyLog(log)).toMatchObject({ ok: true, records: 2000, head: audit.health().head })
  })
}

test('a record is in the log when its append resolves', async () => {
  const log = temporaryLog()
  const audit = await openLog(log)
  await audit.append(outcome('here'))
  expect(recordsOf(log)).toMatchObject([{ v: 1, seq: 1, prev: '0'.repeat(64), decision_id: 'here' }])
})

test('the log is for its owner only, and so is the folder that was made for it', async () => {
  const log = temporaryLog()
  await openLog(log)
  const modes = [join(log, '1.jsonl'), join(log, 'writer.lock'), log].map((path) =>
    (statSync(path).mode & 0o777).toString(8),
  )
  expect(modes).toEqual(['600', '600', '700'])
})

test('the chain goes on after the log is opened again', async () => {
  const log = await logWithRecords(3)
  const audit = await openLog(log)
  await audit.append(outcome('next'))
  expect(await verifyLog(log)).toMatchObject({ ok: true, records: 5 })
})

test('a torn last line is cut off, recorded and logged', async () => {
  const log = await logWithRecords(3)
  const torn = cutTail(log)
  const lines: string[] = []
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const before = recordsOf(log).length
  await openLog(log, { log: pino(destination) })
  expect(before).toBe(2)
  expect(recordsOf(log).slice(2)).toMatchObject([
    { seq: 3, event: 'audit_segment_opened', reason: 'started' },
    { seq: 4, event: 'audit_repaired', bytes_removed: torn },
  ])
  expect(await verifyLog(log)).toMatchObject({ ok: true, records: 4 })
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
    const log = await logWithRecords(3)
    appendFileSync(unseal(newest(log)), tail)
    await openLog(log)
    expect(recordsOf(log)[4]).toMatchObject({ event: 'audit_repaired', bytes_removed: tail.length })
    expect(await verifyLog(log)).toMatchObject({ ok: true, records: 5 })
  })
}

for (const [name, torn] of [
  ['a torn line', '{"v":1,"se'],
  ['zeros that a power cut left', '\0'.repeat(100)],
] as const) {
  test(`removes a first segment that is nothing but ${name}`, async () => {
    const log = temporaryLog()
    mkdirSync(log, { recursive: true })
    writeFileSync(join(log, '1.jsonl'), torn)
    await openLog(log)
    expect(recordsOf(log)).toMatchObject([{ seq: 1, event: 'audit_repaired', bytes_removed: torn.length }])
  })
}

test('removes a last segment that is nothing but a torn line, and goes on after the one before', async () => {
  const log = await logWithRecords(3)
  writeFileSync(join(log, '4.jsonl'), '{"v":1,"seq":4,"pr')
  await openLog(log)
  expect(recordsOf(join(log, '4.jsonl'))).toMatchObject([
    { seq: 4, event: 'audit_segment_opened', reason: 'started', previous_seq: 3 },
    { seq: 5, event: 'audit_repaired', bytes_removed: 18 },
  ])
  expect(await verifyLog(log)).toMatchObject({ ok: true, records: 5 })
})

test('goes on after a compressed segment, and after one that a crash left writable', async () => {
  const log = await logWithRecords(3)
  compressSegment(newest(log))
  const second = await openLog(log)
  await second.append(outcome('mark-5'))
  await second.close()
  unseal(newest(log))
  const third = await openLog(log)
  await third.append(outcome('mark-7'))
  expect(segmentFiles(log).map((file) => file.slice(log.length + 1))).toEqual(['1.jsonl.zst', '4.jsonl', '6.jsonl'])
  expect(isSealed(join(log, '4.jsonl'))).toBe(true)
  expect(await verifyLog(log)).toMatchObject({ ok: true, records: 7 })
})

test('does not go on from a complete segment that was cut since', async () => {
  const log = await logWithRecords(3)
  cutTail(log)
  chmodSync(newest(log), 0o400)
  await expect(openLog(log)).rejects.toThrow(/last record is damaged \(incomplete\)/)
})

test('does not go on from a last record that was changed', async () => {
  const log = await logWithRecords(3)
  const file = unseal(newest(log))
  const changed = readFileSync(file, 'utf8').replace('mark-3', 'mark-4')
  writeFileSync(file, changed)
  await expect(openLog(log)).rejects.toThrow(/last record is damaged \(hash_mismatch\).*crank audit verify/)
  expect(readFileSync(file, 'utf8')).toBe(changed)
})

test('does not cut off more than one line', async () => {
  const log = await logWithRecords(3)
  appendFileSync(unseal(newest(log)), 'not json\nnor this')
  await expect(openLog(log)).rejects.toThrow(AuditFileError)
})

test('a second log in the same folder is refused', async () => {
  const log = temporaryLog()
  const audit = await openLog(log)
  await expect(openLog(log)).rejects.toThrow(`audit folder ${log} is in use: another controller writes to it`)
  await audit.append(outcome('still mine'))
  await audit.close()
  await openLog(log)
})

const strangers: Record<string, string> = {
  'one line': '127.0.0.1 localhost\n',
  'one line without an end': 'hello',
  'two lines': '127.0.0.1 localhost\n10.0.0.7 db\n',
  'the JSON lines of another log': '{"level":30,"msg":"x"}\n{"level":30,"msg":"y"}\n',
  'the beginning of other JSON': '{"version":1}',
  'an empty line': '\n',
}
for (const [name, content] of Object.entries(strangers)) {
  test(`refuses somebody else's log and leaves it as it is: ${name}`, async () => {
    const log = temporaryLog()
    mkdirSync(log, { recursive: true })
    writeFileSync(join(log, '1.jsonl'), content)
    await expect(openLog(log)).rejects.toThrow(/is not an audit log .*CRANK_AUDIT_DIR/)
    expect(readFileSync(join(log, '1.jsonl'), 'utf8')).toBe(content)
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
    const log = await logWithRecords(3)
    const file = unseal(newest(log))
    appendFileSync(file, content)
    const before = readFileSync(file, 'utf8')
    await expect(openLog(log)).rejects.toThrow(/last record is damaged \(not_json\)/)
    expect(readFileSync(file, 'utf8')).toBe(before)
  })
}

for (const [state, change] of [
  ['whole', (file: string) => file],
  ['compressed', compressSegment],
] as const) {
  test(`a log that a newer version wrote, ${state}, is refused with both formats, and left as it is`, async () => {
    const log = await logWithRecords(3)
    const file = unseal(newest(log))
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    writeFileSync(file, `${lines.with(-1, lines.at(-1)!.replace('{"v":1,', '{"v":2,')).join('\n')}\n`)
    change(file)
    const left = newest(log)
    const before = readFileSync(left)
    await expect(openLog(log)).rejects.toThrow(
      /has format 2, and this version of crank reads format 1; start the version of crank that wrote it, or set CRANK_AUDIT_DIR/,
    )
    expect(readFileSync(left)).toEqual(before)
  })
}

test('a newest segment whose compressed form is damaged is refused by its name', async () => {
  const log = await logWithRecords(3)
  const file = newest(log)
  compressSegment(file)
  truncateSync(unseal(`${file}.zst`), 20)
  await expect(openLog(log)).rejects.toThrow(/1\.jsonl\.zst: its last record is damaged \(it cannot be decompressed\)/)
})

test('a start leaves a foreign file with the name of an older segment as it is, and damaged ones too', async () => {
  const log = await logWithRecords(3)
  const second = await openLog(log)
  await second.append(outcome('mark-4'))
  await second.close()
  const [foreign, damaged] = [join(log, '2.jsonl'), join(log, '3.jsonl.zst')]
  for (const file of [foreign, damaged]) writeFileSync(file, 'not ours\n', { mode: 0o600 })
  await (await openLog(log)).append(outcome('mark-5'))
  for (const file of [foreign, damaged]) expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('a newest segment that is a link is refused', async () => {
  const log = await logWithRecords(3)
  symlinkSync(newest(log), join(log, '99.jsonl'))
  await expect(openLog(log)).rejects.toThrow(/the newest audit segment, 99\.jsonl, is a link/)
})

test('a checkpoint that cannot be read is refused by its name, since nobody knows whether records are missing', async () => {
  const log = await logWithRecords(3)
  mkdirSync(join(log, 'checkpoint'))
  await expect(openLog(log)).rejects.toThrow(/checkpoint.*cannot be read \(EISDIR\); move it away/)
})

test('a checkpoint with a number that no log can reach does not move the chain there', async () => {
  const log = await logWithRecords(3)
  const hash = Buffer.alloc(32).toString('base64')
  writeFileSync(join(log, 'checkpoint'), `x/audit/0\n9999999999999999\n${hash}\n2026-12-01T00:00:00Z\n`)
  await (await openLog(log)).append(outcome('mark-4'))
  expect(recordsOf(log).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5])
})

test('with a signing key the chain goes on behind a checkpoint only if this key has signed it', async () => {
  const ahead: Head = { seq: 9, hash: 'a'.repeat(64) }
  const signer = newKey()
  for (const [by, first] of [
    [undefined, 4],
    [newKey(), 4],
    [signer, 10],
  ] as const) {
    const log = await logWithRecords(3)
    writeCheckpoint(log, checkpointOf(ahead, 0, by))
    const audit = await openLog(log, { signer })
    await audit.append(outcome('next'))
    const [opened] = recordsOf(newest(log))
    expect(opened).toMatchObject({ seq: first, reason: first === 4 ? 'started' : 'rolled_back' })
  }
})
