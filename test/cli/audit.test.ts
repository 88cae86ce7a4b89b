import { once } from 'node:events'
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serialiseEvent } from '../../src/audit/serialise.ts'
import { GENESIS, sealRecord, type Head } from '../../src/audit/chain.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { until } from '../fixtures/until.ts'
import { startCrank } from './crank.ts'
import { crank } from './in-process.ts'
import { slotOf } from '../fixtures/audit-log.ts'
import { segmentFile } from '../../src/audit/places.ts'

const MINUTE_MS = 60_000
const HOURS_AGO = new Date(Date.now() - 120 * MINUTE_MS).toISOString()
const NOW = new Date().toISOString()

let dir = ''
let file = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-audit-'))
  file = segmentFile(slotOf(dir, 0), 1)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, EVENTS.reduce(append, { head: GENESIS, lines: '' }).lines)
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const EVENTS: AuditEvent[] = [
  decision({ timestamp: HOURS_AGO, id: 'd-1', who: 'streaming', capability: 'stream:text_events', decision: 'allow' }),
  decision({ timestamp: NOW, id: 'd-2', who: 'streaming', capability: 'convert:document_to_pdf', decision: 'deny' }),
  decision({ timestamp: NOW, id: 'd-3', who: 'hello-world', capability: 'stream:text_events', decision: 'deny' }),
  decision({ timestamp: NOW, id: 'd-4', who: 'hello-world', capability: 'invoke:hello_world', decision: 'allow' }),
  {
    event: 'identity_refused',
    timestamp: NOW,
    decision_id: 'd-5',
    trace_id: 't-5',
    error: 'client_certificate_required',
    remote_address: '127.0.0.1',
    count: 1,
  },
]

async function tail(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await crank(['audit', 'tail', '--audit-file', file, '-o', 'json', ...args])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const lines = stdout.split('\n').filter((line) => line !== '')
  return lines.map((line) => (JSON.parse(line) as { decision_id: string }).decision_id)
}

test('tail prints the records as they stand in the file', async () => {
  const { stdout } = await crank(['audit', 'tail', '--state-dir', dir, '-o', 'json'])
  expect(stdout).toBe(await readFile(file, 'utf8'))
})

test.each([
  { args: [], ids: ['d-1', 'd-2', 'd-3', 'd-4', 'd-5'] },
  { args: ['-n', '2'], ids: ['d-4', 'd-5'] },
  { args: ['-n', '0'], ids: [] },
  { args: ['--deny'], ids: ['d-2', 'd-3', 'd-5'] },
  { args: ['--who', 'worker/hello'], ids: ['d-3', 'd-4'] },
  { args: ['--cap', 'stream:text_events'], ids: ['d-1', 'd-3'] },
  { args: ['--since', '10m'], ids: ['d-2', 'd-3', 'd-4', 'd-5'] },
  { args: ['--since', '3h', '--deny', '--who', 'streaming'], ids: ['d-2'] },
  { args: ['--since', NOW], ids: ['d-2', 'd-3', 'd-4', 'd-5'] },
])('tail $args gives $ids', async ({ args, ids }) => {
  expect(await tail(...args)).toEqual(ids)
})

test('tail for people says who was denied what, why, and the ids to look further with', async () => {
  const { stdout } = await crank(['audit', 'tail', '--audit-file', file, '-n', '4', '--deny'])
  const [line] = stdout.split('\n')
  expect(line).toMatch(
    /^\S+ {2}deny +spiffe:\/\/crank\.local\/worker\/streaming {2}convert:document_to_pdf {2}not authorized/,
  )
  expect(line).toContain('decision=d-2  trace=t-d-2')
})

test('tail for people says why a segment began, and which were removed', async () => {
  const other = join(dir, 'segments.jsonl')
  const ranges = { first_seq: 1, last_seq: 5, last_hash: 'b'.repeat(64) }
  const events: AuditEvent[] = [
    {
      event: 'audit_segment_opened',
      timestamp: NOW,
      reason: 'renamed',
      previous_seq: 7,
      previous_hash: 'a'.repeat(64),
    },
    { event: 'audit_segment_opened', timestamp: NOW, reason: 'size', previous_seq: 8, previous_hash: 'a'.repeat(64) },
    { event: 'audit_segments_removed', timestamp: NOW, reason: 'age', ...ranges },
  ]
  await writeFile(other, events.reduce(append, { head: GENESIS, lines: '' }).lines)
  const { stdout } = await crank(['audit', 'tail', '--audit-file', other])
  expect(stdout).toContain('the one before was renamed; it continues record 7\n')
  expect(stdout).toContain('size; it continues record 8\n')
  expect(stdout).toContain('records 1 to 5 (age)\n')
})

test('tail -f prints a record as soon as it is written, and ends well with SIGINT', async () => {
  const followed = join(dir, 'followed.jsonl')
  const first = append({ head: GENESIS, lines: '' }, EVENTS[0]!)
  await writeFile(followed, first.lines)
  const child = startCrank(['audit', 'tail', '-f', '--audit-file', followed, '-o', 'json'])
  const exited = once(child, 'exit')
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  await until('the first record is printed', () => out.includes('"d-1"'))
  await appendFile(followed, append({ head: first.head, lines: '' }, EVENTS[1]!).lines)
  await until('the new record is printed', () => out.includes('"d-2"'))
  child.kill('SIGINT')
  expect(await exited).toEqual([0, null])
})

test('tail -f follows every slot, also one that appears later', async () => {
  const state = join(dir, 'followed')
  const first = append({ head: GENESIS, lines: '' }, EVENTS[0]!)
  const write = async (slot: number, lines: string): Promise<void> => {
    await mkdir(slotOf(state, slot), { recursive: true })
    await appendFile(segmentFile(slotOf(state, slot), 1), lines)
  }
  await write(0, first.lines)
  const child = startCrank(['audit', 'tail', '-f', '--state-dir', state, '-o', 'json'])
  const exited = once(child, 'exit')
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  await until('the record of slot 0 is printed', () => out.includes('"d-1"'))
  await write(3, append({ head: GENESIS, lines: '' }, EVENTS[1]!).lines)
  await until('the record of slot 3 is printed', () => out.includes('"d-2"'))
  await write(0, append({ head: first.head, lines: '' }, EVENTS[2]!).lines)
  await until('the next record of slot 0 is printed', () => out.includes('"d-3"'))
  expect(out.match(/"d-\d"/g)).toEqual(['"d-1"', '"d-2"', '"d-3"'])
  child.kill('SIGINT')
  expect(await exited).toEqual([0, null])
})

test('tail of a log that is not there exits with 2 and says where it looked', async () => {
  const { code, stderr } = await crank(['audit', 'tail'], { env: { CRANK_STATE_DIR: join(dir, 'nowhere') } })
  expect(code).toBe(2)
  expect(stderr).toContain(`there is no audit log at ${slotOf(join(dir, 'nowhere'), 0)}`)
})

test('tail refuses what is no capability, which no record could have', async () => {
  const { code, stdout, stderr } = await crank(['audit', 'tail', '--audit-file', file, '--cap', 'foo'])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('--cap "foo": must be verb:name')
})

test('verify finds a whole chain intact', async () => {
  const { code, stdout } = await crank(['audit', 'verify', '--audit-file', file, '-o', 'json'])
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    ok: true,
    logs: [{ slot: null, file, ok: true, records: 5, tornTailBytes: 0 }],
  })
})

test('verify takes segments in the order of their numbers, however the shell lists them', async () => {
  const folder = join(dir, 'many')
  await mkdir(folder)
  const lines = (await readFile(file, 'utf8')).split(/(?<=\n)/)
  const names = await Promise.all(
    lines.map(async (line) => {
      // The numbers begin at 8: a shell lists 10 before 8.
      const name = join(folder, `${(JSON.parse(line) as { seq: number }).seq + 7}.jsonl`)
      await writeFile(name, line)
      return name
    }),
  )
  const { code, stdout } = await crank(['audit', 'verify', ...names.toSorted(), '-o', 'json'])
  expect(names.toSorted()).not.toEqual(names)
  expect(JSON.parse(stdout)).toMatchObject({ logs: [{ records: 5, faults: [] }] })
  expect(code).toBe(0)
})

test('verify names the first record that was changed, and exits with 1', async () => {
  const changed = await variant('changed.jsonl', (text) => text.replace('"deny"', '"allow"'))
  const { code, stdout } = await crank(['audit', 'verify', '--audit-file', changed])
  expect(code).toBe(1)
  expect(stdout).toContain('record 2 (line 2) is invalid: the record was changed')
})

test('verify notices a record that was taken out', async () => {
  const gap = await variant('gap.jsonl', (text) => text.split('\n').toSpliced(2, 1).join('\n'))
  const { code, stdout } = await crank(['audit', 'verify', '--audit-file', gap, '-o', 'json'])
  expect(code).toBe(1)
  expect(JSON.parse(stdout).logs[0].firstBad).toMatchObject({ seq: 3, why: 'sequence_gap' })
})

test('verify notices a torn last line', async () => {
  const torn = await variant('torn.jsonl', (text) => text.slice(0, -10))
  const { code, stdout, stderr } = await crank(['audit', 'verify', '--audit-file', torn])
  expect(code).toBe(1)
  expect(stdout).toContain('the last line is torn')
  expect(stderr).toContain('repairs it')
})

async function variant(name: string, change: (text: string) => string): Promise<string> {
  const path = join(dir, name)
  await writeFile(path, change(await readFile(file, 'utf8')))
  return path
}

function append({ head, lines }: { head: Head; lines: string }, event: AuditEvent): { head: Head; lines: string } {
  const sealed = sealRecord(head, serialiseEvent(event))
  return { head: sealed.head, lines: lines + sealed.line }
}

function decision(of: {
  timestamp: string
  id: string
  who: string
  capability: string
  decision: 'allow' | 'deny'
}): AuditEvent {
  return {
    event: 'policy_decision',
    timestamp: of.timestamp,
    decision_id: of.id,
    trace_id: `t-${of.id}`,
    span_id: 's',
    requester_spiffe_id: `spiffe://crank.local/worker/${of.who}`,
    capability: of.capability,
    decision: of.decision,
    mode: 'enforce',
    reasons: of.decision === 'deny' ? [{ code: 'capability_not_declared', message: 'not authorized' }] : [],
    grounds: [],
    exception: null,
    policy_version: '1.0.0',
    policy_revision: 'abc',
    engine: 'opa-wasm',
    evaluation_time_ms: 0.1,
    error: null,
    now_ns: '0',
    source: 'controller',
    priority: 'normal',
    origin: `spiffe://crank.local/worker/${of.who}`,
    depth: 0,
    on_behalf_of: null,
    priority_requested: null,
    route: '/route',
    idempotency_key_present: false,
    retry_of: null,
    repeats: null,
  }
}
