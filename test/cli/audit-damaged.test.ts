// One damaged segment between others: each command finds what is in the others, names the damaged one, and says so by its exit code.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { indexSegment } from '../../src/audit/index/index-segment.ts'
import { callOf, idAt, temporaryDir, traceOf, writeChain, type AnyEvent } from '../audit/index/logs.ts'
import { crank } from './in-process.ts'

const START = Date.UTC(2026, 10, 1)
const HOUR = 3_600_000
/** Days between segments: the id of a decision says in which one it is. */
const at = (n: number): number => START + n * 6 * HOUR
const id = (n: number): string => idAt(at(n), n)
/** Segments of 20 records: 1 to 20, then 21 to 41 and 42 to 62 with `audit_segment_opened`. */
const calls = (from: number): AnyEvent[] => Array.from({ length: 10 }, (_, n) => callOf(from + n, at(from + n))).flat()
const DAMAGED =
  /\/21\.jsonl\.zst is damaged \([A-Z][\w]+\): records 21 to 41 of slot 0 are missing here, or some of them; /

let auditDir = ''
let damaged = ''
beforeEach(() => {
  auditDir = temporaryDir()
  damaged = writeChain(auditDir, 0, [calls(0), calls(10), calls(20)], (n) => n < 2)[1]!
})

/** `all`: nothing of it can be decompressed. `frame`: its second frame of seven records; its index was made before. */
async function damage(how: 'all' | 'frame'): Promise<void> {
  if (how === 'all') {
    writeFileSync(damaged, 'garbage')
    return
  }
  await indexSegment(damaged, { isClosed: true })
  const bytes = readFileSync(damaged)
  const second = bytes.indexOf(Buffer.from('28b52ffd', 'hex'), 4)
  bytes.fill(0xff, second, second + 4)
  writeFileSync(damaged, bytes)
}

const run = (...args: string[]) => crank(['audit', ...args, '--audit-dir', auditDir])
const seqs = (stdout: string): number[] =>
  stdout.split('\n').flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { seq: number }).seq]))
const others = [...Array.from({ length: 20 }, (_, n) => n + 1), ...Array.from({ length: 21 }, (_, n) => n + 42)]

describe.each(['all', 'frame'] as const)('with one damaged segment (%s)', (how) => {
  beforeEach(() => damage(how))

  test('search finds the calls of the others', async () => {
    const { code, stdout, stderr } = await run('search', '--who', 'worker/a', '--limit', '99', '-o', 'json')
    expect(code).toBe(4)
    expect(stderr).toMatch(DAMAGED)
    expect(stderr.match(/is damaged/g)).toHaveLength(1)
    expect(seqs(stdout)).toEqual(expect.arrayContaining([1, 20, 43, 62]))
  })

  test('search reads the others without an index, too', async () => {
    const { code, stdout, stderr } = await run(
      'search',
      '--who',
      'worker/a',
      '--limit',
      '99',
      '--no-index',
      '-o',
      'json',
    )
    expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringMatching(DAMAGED) as string })
    expect(seqs(stdout)).toEqual(expect.arrayContaining([1, 20, 43, 62]))
  })

  test('tail and export print what can be read, in order', async () => {
    const printed = [
      await run('tail', '-n', '99', '-o', 'json'),
      await run('tail', '--since', '2026-01-01', '-o', 'json'),
    ]
    printed.push(await run('export'))
    for (const { code, stdout, stderr } of printed) {
      expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringMatching(DAMAGED) as string })
      const found = seqs(stdout)
      expect(found).toEqual(expect.arrayContaining(others))
      expect(found).toEqual(found.toSorted((a, b) => a - b))
    }
  })

  test('a decision of another segment is found, and nothing is said where the damaged one was not needed', async () => {
    const { code, stdout, stderr } = await run('search', '--decision', id(3), '-o', 'json')
    expect({ code, stderr, seqs: seqs(stdout) }).toEqual({ code: 0, stderr: '', seqs: [7, 8] })
  })

  test('a decision that is nowhere else may be in it', async () => {
    for (const args of [
      ['get', id(14)],
      ['search', '--decision', id(14)],
    ]) {
      const { code, stdout, stderr } = await run(...args)
      expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
      expect(stderr).toMatch(DAMAGED)
      expect(stderr).toMatch(/no record (of decision|matches)/)
    }
    const explained = await crank(['explain', id(14), '--audit-dir', auditDir])
    expect({ code: explained.code, stderr: explained.stderr }).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(DAMAGED) as string,
    })
  })

  test('a trace may have records in it', async () => {
    const { code, stdout, stderr } = await run('get', traceOf(3), '-o', 'json')
    expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringMatching(DAMAGED) as string })
    expect(JSON.parse(stdout)).toMatchObject({
      calls: [{ record: { decision_id: id(3) } }],
      missing: [{ slot: 0, file: damaged, first_seq: 21, last_seq: 41 }],
    })
  })

  test('verify still calls it a fault', async () => {
    const { code, stdout, stderr } = await run('verify')
    expect(code).toBe(1)
    expect(stdout + stderr).toContain('cannot be decompressed from here on')
  })
})

test('an export to a file is written, and its summary has what is missing', async () => {
  await damage('all')
  const out = join(temporaryDir(), 'all.jsonl')
  const { code, stdout } = await run('export', '--out', out, '-o', 'json')
  expect(code).toBe(4)
  expect(JSON.parse(stdout)).toMatchObject({ records: 41, missing: [{ slot: 0, first_seq: 21, last_seq: 41 }] })
  expect(seqs(readFileSync(out, 'utf8'))).toEqual(others)
})

test('the newest segment, damaged when no controller runs, has no known end', async () => {
  rmSync(join(auditDir, '0', '42.jsonl'))
  await damage('all')
  const { code, stdout, stderr } = await run('tail', '-n', '2', '-o', 'json')
  expect({ code, seqs: seqs(stdout) }).toEqual({ code: 4, seqs: [19, 20] })
  expect(stderr).toContain('records from 21 on of slot 0 are missing here')
})
