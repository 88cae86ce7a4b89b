import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GENESIS, openRecord, sealRecord, type ChainedRecord } from '../../src/audit/chain.ts'
import { compressFrame, seekTable } from '../../src/audit/seekable.ts'
import { serialiseEvent } from '../../src/audit/serialise.ts'
import { verifyAudit, verifySegments } from '../../src/audit/verify.ts'
import { outcome, temporaryFile } from '../controller/audit/support.ts'

function chainOf(count: number): string {
  let head = GENESIS
  let text = ''
  for (let i = 1; i <= count; i++) {
    const sealed = sealRecord(head, serialiseEvent(outcome(`mark-${i}`)))
    head = sealed.head
    text += sealed.line
  }
  return text
}

function fileWith(content: string | Buffer): string {
  const file = temporaryFile()
  mkdirSync(dirname(file))
  writeFileSync(file, content)
  return file
}

const COUNT = 20
const CHAIN = chainOf(COUNT)
const LINES = CHAIN.trimEnd().split('\n')

test('an untouched chain verifies, and its head is the last record', async () => {
  const last = JSON.parse(LINES.at(-1)!) as { hash: string }
  expect(await verifyAudit(fileWith(CHAIN))).toEqual({
    ok: true,
    records: COUNT,
    withoutOutcome: 0,
    head: { seq: COUNT, hash: last.hash },
    faults: [],
    faultCount: 0,
    tornTailBytes: 0,
  })
})

test('an empty file verifies', async () => {
  expect(await verifyAudit(fileWith(''))).toMatchObject({ ok: true, records: 0, head: null })
})

test('the hash can be checked with nothing but SHA-256', () => {
  const [line] = LINES
  const hashed = line!.replace(/"hash":"[0-9a-f]{64}",/, '')
  expect(line).toContain(`"hash":"${createHash('sha256').update(hashed).digest('hex')}"`)
})

test('one changed byte in any of a thousand places is found, with the number of its record', async () => {
  const positions = Array.from({ length: 1000 }, (_, i) => Math.floor((i * (CHAIN.length - 1)) / 1000))
  const file = fileWith(CHAIN)
  for (const [i, position] of positions.entries()) {
    const bytes = Buffer.from(CHAIN, 'latin1')
    bytes[position] = bytes[position]! ^ (1 << (i % 8))
    writeFileSync(file, bytes)
    const seq = CHAIN.slice(0, position).split('\n').length
    expect(await verifyAudit(file)).toMatchObject({ ok: false, records: seq - 1, firstBad: { line: seq, seq } })
  }
})

test('a record of a newer version is named with both formats, and what is behind it is still checked', async () => {
  const [first = '', second = '', ...others] = LINES
  const newer = second.replace('{"v":1,', '{"v":2,"more":true,')
  const { ok, faults } = await verifyAudit(fileWith(`${[first, newer, ...others].join('\n')}\n`))
  expect(ok).toBe(false)
  expect(faults).toEqual([
    expect.objectContaining({
      line: 2,
      why: 'newer_format',
      message:
        'the record has format 2, and this version of crank reads format 1; verify it with the version that wrote it',
    }),
  ])
})

for (const gone of [0, 7, 18]) {
  test(`the deletion of line ${gone + 1} is found`, async () => {
    const lines = LINES.toSpliced(gone, 1)
    const { ok, firstBad } = await verifyAudit(fileWith(`${lines.join('\n')}\n`))
    expect(ok).toBe(false)
    expect(firstBad).toMatchObject({ line: gone + 1, seq: gone + 1, why: 'sequence_gap' })
  })
}

test('exchanged, doubled and inserted lines are found', async () => {
  const [first = '', second = '', ...others] = LINES
  const verify = async (lines: string[]): Promise<unknown> =>
    (await verifyAudit(fileWith(`${lines.join('\n')}\n`))).firstBad
  expect(await verify([second, first, ...others])).toMatchObject({ line: 1, why: 'sequence_gap' })
  expect(await verify([first, first, second, ...others])).toMatchObject({ line: 2, why: 'sequence_gap' })
  expect(await verify([first, '', second, ...others])).toMatchObject({ line: 2, why: 'not_json' })
  expect(await verify([first, '{"v":1}', second, ...others])).toMatchObject({ line: 2, why: 'malformed' })
})

test('a genuine record of another chain is found', async () => {
  const foreign = sealRecord({ seq: 3, hash: 'f'.repeat(64) }, serialiseEvent(outcome('x'))).line.trimEnd()
  const { firstBad } = await verifyAudit(fileWith(`${LINES.toSpliced(3, 1, foreign).join('\n')}\n`))
  expect(firstBad).toMatchObject({ line: 4, seq: 4, why: 'prev_mismatch' })
})

test('a torn tail is measured and is not a bad record', async () => {
  const file = fileWith(CHAIN.slice(0, -100))
  const tornTailBytes = LINES.at(-1)!.length + 1 - 100
  expect(await verifyAudit(file)).toMatchObject({ ok: false, records: COUNT - 1, tornTailBytes })
  expect((await verifyAudit(file)).firstBad).toBeUndefined()
})

test('lines far longer than the reading step are found bad without being held in memory whole', async () => {
  const { firstBad } = await verifyAudit(fileWith(`${LINES[0]!}\n${'x'.repeat(5_000_000)}`))
  expect(firstBad).toMatchObject({ line: 2, why: 'not_json' })
})

test('a chain longer than the reading step verifies', async () => {
  const file = fileWith(chainOf(2000))
  expect(readFileSync(file).length).toBeGreaterThan(512 * 1024)
  expect(await verifyAudit(file)).toMatchObject({ ok: true, records: 2000 })
})

test('any text that was sealed opens again with the same members', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.nat(), (mark, seq) => {
      const { line } = sealRecord({ seq, hash: 'c'.repeat(64) }, serialiseEvent(outcome(mark)))
      expect(openRecord(line.slice(0, -1))).toMatchObject({
        v: 1,
        seq: seq + 1,
        decision_id: mark,
        prev: 'c'.repeat(64),
      })
    }),
  )
})

test('a call that passed and has no outcome is counted, once for all of its attempts', async () => {
  const decided = (decision_id: string, decision: string, retry_of: string | null = null) =>
    JSON.stringify({ event: 'policy_decision', timestamp: 't', decision_id, decision, retry_of }).slice(1, -1)
  const ended = (decision_id: string) =>
    JSON.stringify({ event: 'route_outcome', timestamp: 't', decision_id }).slice(1, -1)
  const records = [
    decided('1', 'allow'),
    decided('2', 'deny'),
    decided('3', 'would_deny'),
    decided('4', 'allow'),
    decided('5', 'allow', '4'),
    ended('1'),
    ended('4'),
  ]
  let head = GENESIS
  let text = ''
  for (const members of records) {
    const sealed = sealRecord(head, members)
    head = sealed.head
    text += sealed.line
  }
  expect(await verifyAudit(fileWith(text))).toMatchObject({ ok: true, records: 7, withoutOutcome: 1 })
})

/** Two segments, the first of them compressed in frames of some lines. */
function compressedChain(frames = 4): { readonly files: string[]; readonly zst: string } {
  const first = fileWith('')
  const zst = `${first}.zst`
  const size = Math.ceil(COUNT / frames)
  const parts = Array.from({ length: frames }, (_, n) => `${LINES.slice(n * size, (n + 1) * size).join('\n')}\n`)
  const compressed = parts.map((part) => compressFrame(Buffer.from(part)))
  const table = seekTable(parts.map((part, n) => ({ bytes: compressed[n]!.length, contentBytes: part.length })))
  writeFileSync(zst, Buffer.concat([...compressed, table]))
  const last = openRecord(LINES.at(-1)!) as ChainedRecord
  const opened = {
    event: 'audit_segment_opened',
    timestamp: 't',
    reason: 'renamed',
    previous_seq: last.seq,
    previous_hash: last.hash,
  } as const
  const second = fileWith(sealRecord(last, serialiseEvent(opened)).line)
  return { files: [zst, second], zst }
}

test('a compressed segment verifies as it did before', async () => {
  expect(await verifyAudit(...compressedChain().files)).toMatchObject({ ok: true, records: COUNT + 1 })
})

test('a compressed segment that is damaged is a fault, and the check goes on behind it', async () => {
  const { files, zst } = compressedChain()
  const bytes = readFileSync(zst)
  bytes[bytes.length >> 1]! ^= 0xff
  writeFileSync(zst, bytes)
  const { ok, faults } = await verifyAudit(...files)
  expect(ok).toBe(false)
  expect(faults[0]).toMatchObject({ file: zst, why: expect.stringMatching(/damaged_segment|not_json|hash_mismatch/) })
  expect(faults.at(-1)).toMatchObject({ file: files[1], line: 1 })
})

test('a segment that cannot be read at all is an error, not a fault', async () => {
  await expect(verifyAudit(`${fileWith('')}.none`)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('progress says how many bytes and records were read', async () => {
  const file = fileWith(CHAIN)
  let [bytes, records] = [0, 0]
  await verifySegments([{ file }], {
    onProgress: (count, seen) => {
      bytes += count
      records = seen
    },
  })
  expect([bytes, records]).toEqual([CHAIN.length, COUNT])
})
