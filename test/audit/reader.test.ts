import { appendFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { readAudit, readAudits, type AuditFilter, type AuditRecord } from '../../src/audit/reader.ts'
import { outcome, refusal, temporaryFile, written } from '../controller/audit/support.ts'

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

test('several logs are merged by time', async () => {
  const files = [await written(outcome('a-1'), late), await written(outcome('b-1'), outcome('b-2'))]
  expect(marks(await collect(readAudits(files)))).toEqual(['a-1', 'b-1', 'b-2', 'd-5'])
  expect(marks(await collect(readAudits(files, { since: Date.parse('2030-01-01') })))).toEqual(['d-5'])
})
