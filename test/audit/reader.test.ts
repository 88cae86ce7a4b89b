import { appendFileSync, renameSync, statSync, truncateSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { followAudit } from '../../src/audit/follow.ts'
import { readAudit, type AuditFilter, type AuditRecord } from '../../src/audit/reader.ts'
import { openLog, outcome, refusal, temporaryFile, until } from '../controller/audit/support.ts'

const other = 'spiffe://crank.local/worker/other'
const denied = { ...outcome('d-3'), event: 'policy_decision', decision: 'deny' } as unknown as AuditEvent
const registration = {
  ...outcome('d-4'),
  event: 'worker_registration',
  capability: undefined,
  capabilities: ['invoke:hello_world'],
} as unknown as AuditEvent
const late = { ...outcome('d-5'), timestamp: '2030-01-01T00:00:00.000Z' }

const marks = (records: readonly AuditRecord[]): unknown[] => records.map(({ record }) => record['decision_id'])

async function written(...events: AuditEvent[]): Promise<string> {
  const file = temporaryFile()
  const audit = await openLog(file)
  for (const event of events) await audit.append(event)
  await audit.close()
  return file
}

const cases: [string, AuditFilter, string[]][] = [
  ['nothing asked', {}, ['d-1', 'd-2', 'd-3', 'd-4', 'd-5', 'd-6']],
  ['refusals', { deny: true }, ['d-3', 'd-6']],
  ['a requester', { who: 'worker/other' }, ['d-2']],
  ['a capability', { cap: 'stream:text_events' }, ['d-1', 'd-2', 'd-3', 'd-5']],
  ['an offered capability', { cap: 'invoke:hello_world' }, ['d-4']],
  ['a time', { since: Date.parse('2030-01-01') }, ['d-5']],
  ['several', { deny: true, who: 'streaming' }, ['d-3']],
]
for (const [name, filter, expected] of cases) {
  test(`gives the records that match: ${name}`, async () => {
    const file = await written(outcome('d-1'), outcome('d-2', other), denied, registration, late, refusal('d-6'))
    expect(marks(await collect(readAudit(file, filter)))).toEqual(expected)
  })
}

test('passes over a torn tail and over lines that are no records', async () => {
  const file = await written(outcome('d-1'))
  appendFileSync(file, 'garbage\n{"v":1,')
  const records = await collect(readAudit(file))
  expect(records).toMatchObject([{ line: 1, record: { seq: 1, decision_id: 'd-1' } }])
  expect(JSON.parse(records[0]!.text)).toEqual(records[0]!.record)
})

test('a file that is not there is an error', async () => {
  await expect(collect(readAudit(temporaryFile()))).rejects.toMatchObject({ code: 'ENOENT' })
})

async function collect(records: AsyncIterable<AuditRecord>): Promise<AuditRecord[]> {
  const all: AuditRecord[] = []
  for await (const record of records) all.push(record)
  return all
}

/** Collects what is followed until the test ends. */
function follow(file: string, filter: AuditFilter = {}, last?: number): AuditRecord[] {
  const stop = new AbortController()
  const seen: AuditRecord[] = []
  const ended = (async () => {
    for await (const record of followAudit(() => [{ slot: null, file }], filter, stop.signal, last)) seen.push(record)
  })()
  onTestFinished(() => {
    stop.abort()
    return ended
  })
  return seen
}

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
  expect(marks(seen)).toEqual(['d-1', 'd-2'])
})
