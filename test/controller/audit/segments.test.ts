// Segments: when the log begins a new one, and what operators do to the one that is written. Nothing acknowledged is lost by it.
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { verifyAudit } from '../../../src/audit/verify.ts'
import type { AuditLog } from '../../../src/controller/audit/group-commit.ts'
import type { BreakReason, SegmentReason } from '../../../src/core/segment-reason.ts'
import { segmentFiles, verifyLog } from '../../fixtures/audit-log.ts'
import { isSealed, newest, openLog, outcome, recordsOf, temporaryLog, until } from './support.ts'

const DAY_MS = 86_400_000
const TINY = { maxBytes: 1000, maxAgeMs: DAY_MS }
const namesIn = (log: string): string[] => segmentFiles(log).map((file) => file.slice(log.length + 1))
const marksOf = (log: string): unknown[] => recordsOf(log).map((record) => record['decision_id'] ?? record['event'])

type Opened = { log: string; file: string; old: string; audit: AuditLog; told: SegmentReason[] }

/** A log with the records mark-1 and mark-2. */
async function logWithTwo(): Promise<Opened> {
  const log = temporaryLog()
  const told: SegmentReason[] = []
  const audit = await openLog(log, { onSegment: (reason) => told.push(reason) })
  await audit.append(outcome('mark-1'))
  await audit.append(outcome('mark-2'))
  const file = join(log, '1.jsonl')
  return { log, file, old: `${file}.old`, audit, told }
}

test('a full segment is followed by another one, named after its first record, and is read-only then', async () => {
  const log = temporaryLog()
  const sealed: string[] = []
  const audit = await openLog(log, { limits: TINY, onSealed: (file) => sealed.push(file) })
  for (let i = 1; i <= 6; i++) await audit.append(outcome(`mark-${i}`))
  await audit.close()
  const records = recordsOf(log)
  for (const file of segmentFiles(log).slice(1)) {
    const [first] = recordsOf(file)
    expect(file).toBe(join(log, `${String(first!['seq'])}.jsonl`))
    const before = records.find(({ seq }) => seq === Number(first!['seq']) - 1)!
    expect(first).toMatchObject({
      event: 'audit_segment_opened',
      reason: 'size',
      previous_seq: before['seq'],
      previous_hash: before['hash'],
      prev: before['hash'],
    })
  }
  expect(namesIn(log).length).toBeGreaterThan(2)
  expect(sealed).toEqual(segmentFiles(log).slice(0, -1))
  expect(segmentFiles(log).map(isSealed)).toEqual(segmentFiles(log).map(() => true))
  expect(marksOf(log).filter((mark) => mark !== 'audit_segment_opened')).toEqual(
    [1, 2, 3, 4, 5, 6].map((i) => `mark-${i}`),
  )
  expect(await verifyLog(log)).toMatchObject({ ok: true, records: records.length })
})

test('an old segment is followed by another one at the next record', async () => {
  let ms = 0
  const log = temporaryLog()
  const audit = await openLog(log, { monotonic: () => ms, now: () => ms })
  await audit.append(outcome('mark-1'))
  ms = DAY_MS - 1
  await audit.append(outcome('mark-2'))
  ms = DAY_MS
  await audit.append(outcome('mark-3'))
  expect(namesIn(log)).toEqual(['1.jsonl', '3.jsonl'])
  expect(recordsOf(newest(log))).toMatchObject([{ reason: 'age', previous_seq: 2 }, { decision_id: 'mark-3' }])
})

test('an operator can ask for a new segment, even when nothing happens', async () => {
  const { log, audit } = await logWithTwo()
  expect(await audit.rotate()).toBe(3)
  expect(recordsOf(join(log, '3.jsonl'))).toMatchObject([{ event: 'audit_segment_opened', reason: 'requested' }])
  await until(() => isSealed(join(log, '1.jsonl')))
  expect(audit.health()).toMatchObject({ ok: true })
  expect(audit.health().reason).toBeUndefined()
  expect(await Promise.all([audit.rotate(), audit.rotate()])).toEqual([4, 4])
  await audit.close()
  await expect(audit.rotate()).rejects.toMatchObject({ code: 'audit_unavailable' })
})

test('a request that comes while records are written gets a segment of its own', async () => {
  const log = temporaryLog()
  const audit = await openLog(log)
  for (let i = 1; i <= 20; i++) {
    const written = audit.append(outcome(`mark-${i}`))
    await new Promise(setImmediate)
    const first = await audit.rotate()
    await written
    expect(recordsOf(join(log, `${first}.jsonl`))[0]).toMatchObject({ seq: first, reason: 'requested' })
  }
  expect(await verifyLog(log)).toMatchObject({ ok: true, records: 40 })
})

test('each start begins a segment, and leaves none that has no record', async () => {
  const log = temporaryLog()
  await (await openLog(log)).close()
  expect(readdirSync(log)).toEqual(['writer.lock'])
  const first = await openLog(log)
  await first.append(outcome('mark-1'))
  await first.close()
  await (await openLog(log)).close()
  expect(namesIn(log)).toEqual(['1.jsonl'])
  const second = await openLog(log)
  await second.append(outcome('mark-2'))
  expect(namesIn(log)).toEqual(['1.jsonl', '2.jsonl'])
  expect(recordsOf(newest(log))).toMatchObject([{ reason: 'started', previous_seq: 1 }, { decision_id: 'mark-2' }])
  expect(await verifyLog(log)).toMatchObject({ ok: true, records: 3 })
})

const departures: [name: string, reason: BreakReason, act: (log: Opened) => void, left: string[]][] = [
  ['renamed', 'renamed', ({ file, old }) => renameSync(file, old), ['1.jsonl.old', '3.jsonl']],
  ['deleted', 'deleted', ({ file }) => rmSync(file), ['3.jsonl']],
  [
    'replaced by an empty one',
    'replaced',
    ({ file }) => {
      writeFileSync(`${file}.new`, '')
      renameSync(`${file}.new`, file)
    },
    ['1.jsonl', '3.jsonl'],
  ],
  [
    'replaced by a backup of itself',
    'replaced',
    ({ file }) => {
      copyFileSync(file, `${file}.new`)
      renameSync(`${file}.new`, file)
    },
    ['1.jsonl', '3.jsonl'],
  ],
  [
    'copied and cut in place',
    'truncated',
    ({ file, old }) => {
      copyFileSync(file, old)
      truncateSync(file, 0)
    },
    ['1.jsonl', '1.jsonl.old', '3.jsonl'],
  ],
  ['made readable for all', 'permissions_changed', ({ file }) => chmodSync(file, 0o644), ['1.jsonl', '3.jsonl']],
  ['made read-only', 'permissions_changed', ({ file }) => chmodSync(file, 0), ['1.jsonl', '3.jsonl']],
  [
    'written to by another process',
    'foreign_write',
    ({ file }) => appendFileSync(file, 'not ours\n'),
    ['1.jsonl', '3.jsonl'],
  ],
]
for (const [name, reason, act, left] of departures) {
  test(`a segment that was ${name} is left as it is, and the chain goes on in a new one that says so`, async () => {
    const opened = await logWithTwo()
    const { log, file, audit, told } = opened
    const { head } = audit.health()
    act(opened)
    const touched = existsSync(file) ? readFileSync(file, 'utf8') : undefined
    await audit.append(outcome('mark-3'))
    expect(recordsOf(join(log, '3.jsonl'))).toMatchObject([
      { seq: 3, prev: head.hash, event: 'audit_segment_opened', reason, previous_seq: 2, previous_hash: head.hash },
      { seq: 4, decision_id: 'mark-3' },
    ])
    expect((statSync(join(log, '3.jsonl')).mode & 0o777).toString(8)).toBe('600')
    expect(existsSync(file) ? readFileSync(file, 'utf8') : undefined).toBe(touched)
    expect(readdirSync(log).filter((one) => !one.startsWith('writer.lock'))).toEqual(left)
    expect(audit.health()).toMatchObject({ ok: true, reason: expect.stringMatching(/^in a new segment since .*: /) })
    expect(told).toEqual([reason])
    await audit.append(outcome('mark-4'))
    expect(marksOf(join(log, '3.jsonl'))).toEqual(['audit_segment_opened', 'mark-3', 'mark-4'])
    await audit.close()
    expect(await verifyAudit(join(log, '3.jsonl'))).toMatchObject({ ok: true, continues: { seq: 2, hash: head.hash } })
    const next = await openLog(log)
    await next.append(outcome('mark-5'))
    expect(recordsOf(newest(log))).toMatchObject([
      { seq: 6, reason: 'started' },
      { seq: 7, decision_id: 'mark-5' },
    ])
  })
}

test('a segment before and the new one verify as one chain, in that order only', async () => {
  const { log, file, old, audit } = await logWithTwo()
  renameSync(file, old)
  await audit.append(outcome('mark-3'))
  const next = newest(log)
  expect(await verifyAudit(old, next)).toMatchObject({ ok: true, records: 4, head: audit.health().head })
  expect((await verifyAudit(next, old)).ok).toBe(false)
  // A record that the one before lost at its end is missed.
  writeFileSync(old, `${readFileSync(old, 'utf8').split('\n')[0]!}\n`)
  expect((await verifyAudit(old, next)).ok).toBe(false)
})

test('under load, while the segment is renamed again and again, each acknowledged record is in exactly one', async () => {
  const { log, audit } = await logWithTwo()
  const moved: string[] = []
  const marks: string[] = []
  let stop = false
  const append = async (appender: number): Promise<void> => {
    for (let i = 0; !stop; i++) {
      await audit.append(outcome(`${appender}-${i}`))
      marks.push(`${appender}-${i}`)
    }
  }
  const appenders = Array.from({ length: 8 }, (_, appender) => append(appender))
  for (let i = 0; i < 10; i++) {
    const seen = marks.length
    await until(() => marks.length > seen + 50)
    const from = newest(log)
    renameSync(from, `${from}.old`)
    moved.push(`${from}.old`)
    await until(() => segmentFiles(log).length > 0)
  }
  stop = true
  await Promise.all(appenders)
  const all = [...moved, newest(log)]
  expect(await verifyAudit(...all)).toMatchObject({ ok: true, head: audit.health().head })
  const written = all
    .flatMap(marksOf)
    .filter((mark) => mark !== 'audit_segment_opened' && !String(mark).startsWith('mark'))
  expect(written.toSorted()).toEqual(marks.toSorted())
}, 60_000)

const strangers: Record<string, (file: string) => void> = {
  "somebody else's text": (file) => writeFileSync(file, 'not an audit log\n'),
  'an older part of the log': (file) => copyFileSync(join(dirname(file), '1.jsonl'), file),
  'a folder': (file) => mkdirSync(file),
}
for (const [name, put] of Object.entries(strangers)) {
  test(`${name} at the place of the next segment is left untouched: refused, red, and well again when it is gone`, async () => {
    const { log, audit } = await logWithTwo()
    const next = join(log, '3.jsonl')
    put(next)
    const before = statSync(next).isFile() ? readFileSync(next, 'utf8') : undefined
    chmodSync(join(log, '1.jsonl'), 0o644)
    await expect(audit.append(outcome('mark-3'))).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(audit.health()).toMatchObject({
      ok: false,
      reason: expect.stringContaining('3.jsonl, is not ours; move it'),
    })
    expect(audit.health().reason).not.toContain(log)
    expect(statSync(next).isFile() ? readFileSync(next, 'utf8') : undefined).toEqual(before)
    renameSync(next, `${next}.away`)
    await until(() => audit.health().ok)
    await audit.append(outcome('mark-4'))
    expect(marksOf(next)).toEqual(['audit_segment_opened', 'audit_recovered', 'mark-4'])
  })
}

test('an empty file at the place of the next segment is used, for its owner only', async () => {
  const { log, audit } = await logWithTwo()
  writeFileSync(join(log, '3.jsonl'), '', { mode: 0o644 })
  await audit.rotate()
  expect(marksOf(join(log, '3.jsonl'))).toEqual(['audit_segment_opened'])
  expect((statSync(join(log, '3.jsonl')).mode & 0o777).toString(8)).toBe('600')
})

test('a segment that is moved back before anything was written is gone on with', async () => {
  const { file, old, audit, told } = await logWithTwo()
  renameSync(file, old)
  renameSync(old, file)
  await audit.append(outcome('mark-3'))
  expect(marksOf(file)).toEqual(['mark-1', 'mark-2', 'mark-3'])
  expect(told).toEqual([])
})

test('a second log does not get the folder, even when the lock file is gone', async () => {
  const { log, audit } = await logWithTwo()
  await expect(openLog(log)).rejects.toThrow(`audit folder ${log} is in use: another controller writes to it`)
  renameSync(join(log, 'writer.lock'), join(log, 'writer.lock.old'))
  await audit.rotate()
  await expect(openLog(log)).rejects.toThrow('another controller writes to it')
})

test('a log whose lock was taken over meanwhile does not write beside the other one', async () => {
  const { log, audit } = await logWithTwo()
  renameSync(join(log, 'writer.lock'), join(log, 'writer.lock.old'))
  const other = await openLog(log)
  await other.append(outcome('other'))
  await expect(audit.append(outcome('mark-3'))).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(audit.health().reason).toBe('another controller writes to the audit log')
  expect(marksOf(log)).toEqual(['mark-1', 'mark-2', 'audit_segment_opened', 'other'])
})

test('a folder that was removed is made again, for its owner only', async () => {
  const { log, audit } = await logWithTwo()
  rmSync(dirname(log), { recursive: true })
  await audit.append(outcome('mark-3'))
  expect(marksOf(log)).toEqual(['audit_segment_opened', 'mark-3'])
  expect((statSync(log).mode & 0o777).toString(8)).toBe('700')
  await expect(openLog(log)).rejects.toThrow('another controller writes to it')
})
