// What operators do to a file that is being written: move, delete, cut, replace. Nothing acknowledged is lost by it.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import type { FileLeftReason } from '../../../src/core/file-left.ts'
import type { AuditLog } from '../../../src/controller/audit/group-commit.ts'
import { verifyAudit } from '../../../src/audit/verify.ts'
import { openLog, outcome, recordsOf, temporaryFile, until } from './support.ts'

type Opened = { file: string; old: string; audit: AuditLog; told: FileLeftReason[] }

/** A log with the records mark-1 and mark-2. */
async function logWithTwo(): Promise<Opened> {
  const file = temporaryFile()
  const told: FileLeftReason[] = []
  const audit = await openLog(file, { onSegment: (reason) => told.push(reason) })
  await audit.append(outcome('mark-1'))
  await audit.append(outcome('mark-2'))
  return { file, old: `${file}.1`, audit, told }
}

const marksOf = (file: string): unknown[] => recordsOf(file).map((record) => record['decision_id'] ?? record['event'])

const departures: [name: string, reason: FileLeftReason, act: (log: Opened) => void, oldIsThere: boolean][] = [
  ['renamed', 'renamed', ({ file, old }) => renameSync(file, old), true],
  [
    'renamed, and an empty one made in its place',
    'renamed',
    ({ file, old }) => {
      renameSync(file, old)
      writeFileSync(file, '')
      chmodSync(file, 0o644)
    },
    true,
  ],
  ['deleted', 'deleted', ({ file }) => rmSync(file), false],
  [
    'replaced by an empty one',
    'replaced',
    ({ file }) => {
      writeFileSync(`${file}.new`, '')
      renameSync(`${file}.new`, file)
    },
    false,
  ],
  [
    'copied and cut in place',
    'truncated',
    ({ file, old }) => {
      copyFileSync(file, old)
      truncateSync(file, 0)
    },
    true,
  ],
]
for (const [name, reason, act, oldIsThere] of departures) {
  test(`a file that was ${name} is left, and the chain goes on in a new one at the path`, async () => {
    const opened = await logWithTwo()
    const { file, old, audit, told } = opened
    const { head } = audit.health()
    act(opened)
    await audit.append(outcome('mark-3'))
    expect(recordsOf(file)).toMatchObject([
      { seq: 3, prev: head.hash, event: 'audit_segment_opened', reason, previous_seq: 2, previous_hash: head.hash },
      { seq: 4, decision_id: 'mark-3' },
    ])
    expect((statSync(file).mode & 0o777).toString(8)).toBe('600')
    expect(existsSync(old)).toBe(oldIsThere)
    expect(oldIsThere ? marksOf(old) : []).toEqual(oldIsThere ? ['mark-1', 'mark-2'] : [])
    expect(audit.health()).toMatchObject({
      ok: true,
      reason: expect.stringMatching(`^in a new file since .*${reason}$`),
    })
    expect(told).toEqual([reason])
    expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 2, continues: { seq: 2, hash: head.hash } })
    await audit.append(outcome('mark-4'))
    expect(marksOf(file)).toEqual(['audit_segment_opened', 'mark-3', 'mark-4'])
    await audit.close()
    // The next start goes on in the new file like in any other.
    const next = await openLog(file)
    await next.append(outcome('mark-5'))
    expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 4, head: { seq: 6 } })
  })
}

test('the file before and the new one verify as one chain, in that order only', async () => {
  const { file, old, audit } = await logWithTwo()
  renameSync(file, old)
  await audit.append(outcome('mark-3'))
  expect(await verifyAudit(old, file)).toMatchObject({ ok: true, records: 4, head: audit.health().head })
  expect((await verifyAudit(file, old)).firstBad).toMatchObject({ file: old, line: 1, why: 'sequence_gap' })
  const joined = `${file}.joined`
  writeFileSync(joined, readFileSync(old, 'utf8') + readFileSync(file, 'utf8'))
  expect(await verifyAudit(joined)).toMatchObject({ ok: true, records: 4 })
  // A record that the file before lost at its end is missed.
  writeFileSync(old, `${readFileSync(old, 'utf8').split('\n')[0]!}\n`)
  expect((await verifyAudit(old, file)).firstBad).toMatchObject({ file, line: 1, why: 'sequence_gap' })
})

test('only a segment may begin with another record than the first', async () => {
  const { file } = await logWithTwo()
  const [, second = ''] = readFileSync(file, 'utf8').split('\n')
  writeFileSync(`${file}.cut`, `${second}\n`)
  expect((await verifyAudit(`${file}.cut`)).firstBad).toMatchObject({ line: 1, why: 'sequence_gap' })
})

test('under load, while the file is renamed again and again, each acknowledged record is in exactly one file', async () => {
  const { file, audit } = await logWithTwo()
  const files: string[] = []
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
    const old = `${file}.${i}`
    await until(() => marks.length > seen + 50)
    renameSync(file, old)
    files.push(old)
    await until(() => existsSync(file))
  }
  stop = true
  await Promise.all(appenders)
  const all = [...files, file]
  expect(await verifyAudit(...all)).toMatchObject({ ok: true, head: audit.health().head })
  const written = all
    .flatMap(marksOf)
    .filter((mark) => mark !== 'audit_segment_opened' && !String(mark).startsWith('mark'))
  expect(written.toSorted()).toEqual(marks.toSorted())
}, 60_000)

const strangers: Record<string, (file: string) => void> = {
  "somebody else's text": (file) => writeFileSync(file, 'not an audit log\n'),
  'an older part of the log': (file) => writeFileSync(file, `${readFileSync(`${file}.1`, 'utf8').split('\n')[0]!}\n`),
  'a folder': (file) => mkdirSync(file),
}
for (const [name, put] of Object.entries(strangers)) {
  test(`${name} at the path of the log is left untouched: refused, red, and well again when it is gone`, async () => {
    const { file, old, audit } = await logWithTwo()
    renameSync(file, old)
    put(file)
    const before = statSync(file).isFile() ? readFileSync(file, 'utf8') : undefined
    await expect(audit.append(outcome('mark-3'))).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(audit.health()).toMatchObject({ ok: false, reason: expect.any(String) })
    expect(audit.health().reason).not.toContain(dirname(file))
    expect(statSync(file).isFile() ? readFileSync(file, 'utf8') : undefined).toEqual(before)
    expect(marksOf(old)).toEqual(['mark-1', 'mark-2'])
    renameSync(file, `${file}.away`)
    await until(() => audit.health().ok)
    await audit.append(outcome('mark-4'))
    expect(marksOf(file)).toEqual(['audit_segment_opened', 'audit_recovered', 'mark-4'])
    expect(await verifyAudit(old, file)).toMatchObject({ ok: true })
  })
}

test('a file that is moved back before anything was written is gone on with', async () => {
  const { file, old, audit, told } = await logWithTwo()
  renameSync(file, old)
  renameSync(old, file)
  await audit.append(outcome('mark-3'))
  expect(marksOf(file)).toEqual(['mark-1', 'mark-2', 'mark-3'])
  expect(told).toEqual([])
})

test('a copy that took its place is gone on with, since it ends with the last record', async () => {
  const { file, old, audit } = await logWithTwo()
  copyFileSync(file, old)
  renameSync(old, file)
  await audit.append(outcome('mark-3'))
  expect(marksOf(file)).toEqual(['mark-1', 'mark-2', 'audit_segment_opened', 'mark-3'])
  expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 4 })
})

test('bytes that another process appended are not written behind, and not cut off either', async () => {
  const { file, old, audit } = await logWithTwo()
  writeFileSync(file, 'not ours\n', { flag: 'a' })
  await expect(audit.append(outcome('mark-3'))).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(audit.health().reason).toContain('another process wrote to the audit file; move the file away')
  expect(readFileSync(file, 'utf8')).toMatch(/\}\nnot ours\n$/)
  renameSync(file, old)
  await until(() => audit.health().ok)
})

test('a second log gets neither the path nor the new file, even when the lock file went with the old one', async () => {
  const { file, old, audit } = await logWithTwo()
  renameSync(file, old)
  await expect(openLog(file)).rejects.toThrow('another controller writes to it')
  renameSync(`${file}.lock`, `${old}.lock`)
  await audit.append(outcome('mark-3'))
  await expect(openLog(file)).rejects.toThrow('another controller writes to it')
})

test('a log whose lock was taken over meanwhile does not write beside the other one', async () => {
  const { file, old, audit } = await logWithTwo()
  renameSync(file, old)
  renameSync(`${file}.lock`, `${old}.lock`)
  const other = await openLog(file)
  await other.append(outcome('other'))
  await expect(audit.append(outcome('mark-3'))).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(audit.health().reason).toBe('another controller writes to the audit file')
  expect(marksOf(file)).toEqual(['other'])
})

test('a link that leads elsewhere now is followed to where it leads', async () => {
  const real = temporaryFile()
  mkdirSync(dirname(real))
  const link = join(dirname(real), 'link.jsonl')
  symlinkSync(real, link)
  const audit = await openLog(link)
  await audit.append(outcome('mark-1'))
  // Made by the first log, so known by one real path: the same lock under both names.
  await expect(openLog(real)).rejects.toThrow('another controller writes to it')
  rmSync(link)
  symlinkSync(`${real}.2`, link)
  await audit.append(outcome('mark-2'))
  expect(realpathSync(link)).toBe(`${realpathSync(dirname(real))}/audit.jsonl.2`)
  expect(marksOf(`${real}.2`)).toEqual(['audit_segment_opened', 'mark-2'])
  expect(await verifyAudit(real, `${real}.2`)).toMatchObject({ ok: true })
})

test('a folder that was removed is made again, for its owner only', async () => {
  const { file, audit } = await logWithTwo()
  rmSync(dirname(file), { recursive: true })
  await audit.append(outcome('mark-3'))
  expect(marksOf(file)).toEqual(['audit_segment_opened', 'mark-3'])
  expect((statSync(dirname(file)).mode & 0o777).toString(8)).toBe('700')
  await expect(openLog(file)).rejects.toThrow('another controller writes to it')
})
