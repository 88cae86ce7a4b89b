import { appendFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { lastOfAudits, readAudits, type AuditFilter, type AuditRecord } from '../../src/audit/reader.ts'
import { compressSegment } from '../../src/audit/compress.ts'
import { chainsAt } from '../../src/audit/places.ts'
import {
  isSealed,
  newest,
  openLog,
  outcome,
  refusal,
  temporaryFile,
  temporaryLog,
  unseal,
  until,
  written,
} from '../controller/audit/support.ts'

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
    const file = newest(
      await written(outcome('d-1'), outcome('d-2', other), denied, registration, late, refusal('d-6')),
    )
    expect(marks(await collect(readAudits(chainsAt(file), filter)))).toEqual(expected)
    compressSegment(file)
    expect(marks(await collect(readAudits(chainsAt(`${file}.zst`), filter)))).toEqual(expected)
  })
}

test('passes over a torn tail and over lines that are no records', async () => {
  const file = unseal(newest(await written(outcome('d-1'))))
  appendFileSync(file, 'garbage\n{"v":1,')
  const records = await collect(readAudits(chainsAt(file)))
  expect(records).toMatchObject([{ line: 1, record: { seq: 1, decision_id: 'd-1' } }])
  expect(JSON.parse(records[0]!.text)).toEqual(records[0]!.record)
})

test('a file that is not there is an error', async () => {
  await expect(collect(readAudits(chainsAt(temporaryFile())))).rejects.toMatchObject({ code: 'ENOENT' })
})

async function collect(records: AsyncIterable<AuditRecord>): Promise<AuditRecord[]> {
  const all: AuditRecord[] = []
  for await (const record of records) all.push(record)
  return all
}

test('several logs are merged by time', async () => {
  const logs = [await written(outcome('a-1'), late), await written(outcome('b-1'), outcome('b-2'))].flatMap(chainsAt)
  expect(marks(await collect(readAudits(logs)))).toEqual(['a-1', 'b-1', 'b-2', 'd-5'])
  expect(marks(await collect(readAudits(logs, { since: Date.parse('2030-01-01') })))).toEqual(['d-5'])
})

/** Segments of one record each, the first of them compressed. */
async function segmented(...events: AuditEvent[]): Promise<string> {
  const log = temporaryLog()
  let nowMs = 0
  const audit = await openLog(log, { now: () => nowMs, monotonic: () => nowMs })
  for (const [at, event] of events.entries()) {
    nowMs = Date.parse(event.timestamp)
    await audit.append(event)
    const last = newest(log)
    await audit.rotate()
    await until(() => isSealed(last))
    if (at === 0) compressSegment(last)
  }
  return log
}

test('a chain of several segments is read from its beginning, from a time, and from its end', async () => {
  const day = (n: number): AuditEvent => ({ ...outcome(`d-${n}`), timestamp: `2030-01-0${n}T00:00:00.000Z` })
  const chains = chainsAt(await segmented(day(1), day(2), day(3), day(4)))
  const cap = 'stream:text_events'
  expect(marks(await collect(readAudits(chains, { cap })))).toEqual(['d-1', 'd-2', 'd-3', 'd-4'])
  const since = Date.parse('2030-01-02T12:00:00Z')
  expect(marks(await collect(readAudits(chains, { cap, since })))).toEqual(['d-3', 'd-4'])
  for (const [count, expected] of [
    [0, []],
    [2, ['d-3', 'd-4']],
    [9, ['d-1', 'd-2', 'd-3', 'd-4']],
  ] as const) {
    expect(marks(await lastOfAudits(chains, { cap }, count))).toEqual(expected)
  }
})
