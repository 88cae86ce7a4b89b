// The thread that keeps the segments of a slot, with real segments: compression, retention, and a disk without room.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { compressSegment } from '../../../src/audit/compress.ts'
import { segmentsIn } from '../../../src/audit/places.ts'
import { verifySegments } from '../../../src/audit/verify.ts'
import type { AuditLog } from '../../../src/controller/audit/group-commit.ts'
import { startKeeper, type Keeper } from '../../../src/controller/audit-keeper/keeper.ts'
import type { KeeperData } from '../../../src/controller/audit-keeper/words.ts'
import { AppError } from '../../../src/core/errors.ts'
import { AUDIT_EVENTS } from '../../observability/audit-events.ts'
import { auditText, readAuditLines, segmentFiles } from '../../fixtures/audit-log.ts'
import { isSealed, newest, openLog, outcome, SILENT, temporaryLog, until } from '../audit/support.ts'
import { NO_CREDENTIALS } from '../../fixtures/no-credentials.ts'

const NOTHING = { maxAgeMs: undefined, maxBytes: undefined }

const DATA: Omit<KeeperData, 'folder'> = {
  keep: NOTHING,
  keepOfAll: NOTHING,
  full: 'stop',
  minFree: { bytes: 1 },
  slot: 0,
  shipping: [],
  durableSeq: new SharedArrayBuffer(8),
}

type Kept = { readonly log: string; readonly audit: AuditLog; readonly keeper: Keeper; readonly said: string[] }

type Append = AuditLog['append']

async function keep(
  data: Partial<KeeperData> = {},
  appendTo = (audit: AuditLog): Append => audit.append.bind(audit),
): Promise<Kept> {
  const log = temporaryLog()
  const said: string[] = []
  let wake = (): void => undefined
  const audit = await openLog(log, { onSealed: () => wake() })
  const keeper = startKeeper({
    data: { ...DATA, folder: log, ...data },
    audit: { append: appendTo(audit), refuse: audit.refuse.bind(audit) },
    log: Object.assign(Object.create(SILENT) as typeof SILENT, {
      warn: ({ event, reason }: { event: string; reason: string }) => said.push(`${event}: ${reason}`),
    }),
    now: Date.now,
    credentials: NO_CREDENTIALS,
    pauseMs: 10,
  })
  wake = () => keeper.wake()
  onTestFinished(() => keeper.close())
  return { log, audit, keeper, said }
}

/** Segments of one record each, and the one that is written. */
async function fill({ log, audit }: Kept, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) {
    await audit.append(outcome(`mark-${i}`))
    const last = newest(log)
    await audit.rotate()
    await until(() => !existsSync(last) || isSealed(last))
  }
}

test('complete segments are compressed, and say the same', async () => {
  const kept = await keep()
  await kept.audit.append(outcome('before'))
  const before = await auditText(kept.log)
  await fill(kept, 3)
  await until(() => segmentFiles(kept.log).every((file, at, all) => file.endsWith('.zst') === at < all.length - 1))
  expect((await auditText(kept.log)).slice(0, 1)).toEqual(before)
  expect(segmentFiles(kept.log).slice(0, -1).every(isSealed)).toBe(true)
  await until(() => kept.keeper.report()?.segments === 4)
  expect(kept.keeper.report()).toMatchObject({ faults: [] })
  expect(kept.said).toEqual([])
})

test('what is beyond the size is removed, after a record of it', async () => {
  const kept = await keep({ keep: { maxAgeMs: undefined, maxBytes: 1 } })
  await fill(kept, 3)
  await until(() => segmentFiles(kept.log).length === 1)
  await kept.audit.append(outcome('last'))
  const lines = await readAuditLines(kept.log)
  const removals = lines.filter(({ event }) => event === 'audit_segments_removed')
  expect(removals.at(-1)).toMatchObject({
    reason: 'size',
    first_seq: expect.any(Number),
    last_seq: lines[0]!.seq - 1,
    last_hash: lines[0]!['prev'],
  })
})

test('a disk without room stops decisions, but not the records of what has happened, and says why', async () => {
  const kept = await keep({ minFree: { percent: 100 } })
  await until(() => !kept.audit.health().ok)
  expect(kept.audit.health()).toMatchObject({ ok: false, reason: expect.stringContaining('CRANK_AUDIT_MIN_FREE') })
  await expect(kept.audit.append(AUDIT_EVENTS.policy_decision)).rejects.toMatchObject({ code: 'audit_unavailable' })
  await kept.audit.append(outcome('mark-1'))
  kept.audit.refuse(undefined)
  expect(kept.audit.health().ok).toBe(true)
  await kept.audit.append(AUDIT_EVENTS.policy_decision)
  expect((await readAuditLines(kept.log)).map(({ event }) => event)).toEqual(['route_outcome', 'policy_decision'])
})

test('a disk without room takes the oldest segments instead, where that is wanted', async () => {
  const kept = await keep({ minFree: { percent: 100 }, full: 'drop_unshipped' })
  await fill(kept, 2)
  await until(() => segmentFiles(kept.log).length === 1)
  const removals = (await readAuditLines(kept.log)).filter(({ event }) => event === 'audit_segments_removed')
  expect(removals.at(-1)).toMatchObject({ reason: 'disk_full' })
  expect(kept.audit.health().ok).toBe(true)
})

test('a disk without a single byte left takes no record of a removal, until the oldest segment has made room for it', async () => {
  const noRoom = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  const oldest = (log: string): boolean => readdirSync(log).some((name) => name.startsWith('1.jsonl'))
  let log = ''
  const kept = await keep({ keep: { maxAgeMs: undefined, maxBytes: 1 } }, (audit) => async (event, options) => {
    if (log === '' || oldest(log)) throw new AppError('audit_unavailable', undefined, { cause: noRoom })
    await audit.append(event, options)
  })
  log = kept.log
  await fill(kept, 3)
  await until(() => segmentFiles(log).length === 1)
  const lines = await readAuditLines(log)
  expect(lines.findLast(({ event }) => event === 'audit_segments_removed')).toMatchObject({
    reason: 'size',
    last_seq: lines[0]!.seq - 1,
    last_hash: lines[0]!['prev'],
  })
  expect(await verifySegments(segmentsIn(log), { isWhole: true })).toMatchObject({ ok: true })
})

test('segments that cannot be deleted are tried again, with one record for each range', async () => {
  const log = temporaryLog()
  mkdirSync(log, { recursive: true })
  const said: unknown[] = []
  const recorded: unknown[] = []
  let looks = 0
  const keeper = startKeeper({
    data: { ...DATA, folder: log },
    credentials: NO_CREDENTIALS,
    audit: {
      append: (event) => {
        recorded.push([event.event, 'first_seq' in event && event.first_seq, 'last_seq' in event && event.last_seq])
        return Promise.resolve()
      },
      refuse: () => undefined,
    },
    log: Object.assign(Object.create(SILENT) as typeof SILENT, { warn: (fields: object) => said.push(fields) }),
    now: () => looks++,
    pauseMs: 1,
    entry: new URL('./undeletable-main.ts', import.meta.url),
  })
  onTestFinished(() => keeper.close())
  await until(() => {
    keeper.wake()
    return existsSync(join(log, 'attempts')) && readFileSync(join(log, 'attempts')).length > 2 && recorded.length > 1
  })
  expect(recorded).toEqual([
    ['audit_segments_removed', 1, 7],
    ['audit_segments_removed', 8, 9],
  ])
  expect(said).toHaveLength(1)
})

test('what somebody else put there under the name of a segment is left alone, and keeps nothing from its work', async () => {
  const kept = await keep({ keep: { maxAgeMs: undefined, maxBytes: 1 } })
  const [folder, link, text] = [50_001, 50_002, 50_003].map((seq) => join(kept.log, `${seq}.jsonl`))
  mkdirSync(folder!)
  symlinkSync('/nowhere', link!)
  writeFileSync(text!, 'not ours\n', { mode: 0o400 })
  await fill(kept, 3)
  await until(() => segmentFiles(kept.log).filter((file) => file !== text && file !== link).length === 1)
  expect([folder, link, text].map((file) => lstatSync(file!, { throwIfNoEntry: false }) !== undefined)).toEqual([
    true,
    true,
    true,
  ])
  expect(readFileSync(text!, 'utf8')).toBe('not ours\n')
  expect(kept.said.join('\n')).toContain(
    `${text} is left alone, since it does not begin with record 50003: move it away`,
  )
  expect(kept.said.join('\n')).not.toContain('the thread failed')
})

test('one that cannot be compressed keeps no other from being compressed', async () => {
  const kept = await keep()
  await kept.audit.append(outcome('mark-1'))
  writeFileSync(`${newest(kept.log)}.zst`, 'not this')
  await kept.audit.rotate()
  await kept.audit.append(outcome('mark-2'))
  const second = newest(kept.log)
  await kept.audit.rotate()
  await until(() => existsSync(`${second}.zst`) && !existsSync(second))
  expect(existsSync(join(kept.log, '1.jsonl'))).toBe(true)
})

test('a compressed form with another content is never taken for the segment, which stays', async () => {
  const kept = await keep()
  await kept.audit.append(outcome('mark-1'))
  const first = newest(kept.log)
  writeFileSync(`${first}.zst`, 'not this')
  await kept.audit.rotate()
  await until(() => kept.said.length > 0)
  expect(kept.said[0]).toMatch(/^audit_keeper_failed: .*1\.jsonl could not be compressed: .*move the former away$/)
  expect(readdirSync(kept.log)).toContain('1.jsonl')
})

test('a compression that was killed anywhere is finished by the next one', async () => {
  const log = temporaryLog()
  const audit = await openLog(log)
  for (let i = 0; i < 2000; i++) void audit.append(outcome(`mark-${i}`), { patient: true })
  await audit.close()
  const file = newest(log)
  const before = await auditText(log)
  writeFileSync(`${file}.zst.part`, 'half of')
  expect(compressSegment(file)).toBeGreaterThan(1000)
  expect(readdirSync(log).filter((name) => name.includes('jsonl'))).toEqual(['1.jsonl.zst'])
  expect(await auditText(log)).toEqual(before)
  // As if it had been killed before it removed the segment.
  writeFileSync(join(log, '1.jsonl'), before.map((line) => `${line}\n`).join(''))
  compressSegment(join(log, '1.jsonl'))
  expect(readdirSync(log).filter((name) => name.includes('jsonl'))).toEqual(['1.jsonl.zst'])
})
