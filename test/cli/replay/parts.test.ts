// The parts of replay that a process shows only with gigabytes: blocks, bounded groups, threads, progress.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compressSegment } from '../../../src/audit/compress.ts'
import { compressFrame, seekTable } from '../../../src/audit/seekable.ts'
import { readBlocks } from '../../../src/cli/replay/blocks.ts'
import { createPartReader } from '../../../src/cli/replay/part-reader.ts'
import { piecesOf, sourcesOf } from '../../../src/cli/replay/pieces.ts'
import { createProgress, progressLine } from '../../../src/cli/replay/progress.ts'
import { readRecorded, type Recorded } from '../../../src/cli/replay/recorded.ts'
import { andMore, createReport } from '../../../src/cli/replay/report.ts'
import { addDecision, createTally, mergeTally, OTHER_REVISIONS } from '../../../src/cli/replay/tally.ts'
import { tallyPieces } from '../../../src/cli/replay/threads.ts'
import { loadPolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { chainLines } from '../../../scripts/tools/audit-records.ts'
import { POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { readWasm } from '../../../src/policy/engine/compile.ts'
import { recordOf } from '../../fixtures/replay.ts'

const ALL = { from: undefined, until: undefined }

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-replay-parts-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

test.each([
  { text: '', blocks: [] },
  { text: 'a\n', blocks: ['a\n'] },
  { text: 'a\nb', blocks: ['a\nb'] },
  { text: '1234567\n', blocks: ['1234567\n'] },
  { text: '1234\n678\nabc', blocks: ['1234\n', '678\nabc'] },
  { text: '12345678\nab\n', blocks: ['12345678', '\nab\n'] },
])('blocks of 8 bytes of $text are $blocks', async ({ text, blocks }) => {
  const file = join(dir, 'blocks')
  await writeFile(file, text)
  const found: string[] = []
  for await (const block of readBlocks(file, 8)) found.push(Buffer.from(block).toString())
  expect(found).toEqual(blocks)
})

const TEXTS = ['', 'a\n', 'a\nb', '\n\nab\n', '1234567890\n1\n22\n333\n', '1\n22\n333\n4444\n55555\n666666']

test.each(TEXTS)('pieces of any size give each line of %j once, compressed or not', async (text) => {
  const plain = join(dir, 'pieces.jsonl')
  const framed = join(dir, 'pieces-framed.jsonl.zst')
  const whole = join(dir, 'pieces-whole.jsonl.zst')
  await writeFile(plain, text)
  await writeFile(framed, inFrames(text, 3))
  await writeFile(whole, compressFrame(Buffer.from(text)))
  const lines = text.split('\n').filter((line) => line !== '')
  for (const file of [plain, framed, whole]) {
    for (let size = 1; size <= 12; size++) expect(await linesOf(file, size), `${file} by ${size}`).toEqual(lines)
  }
})

test('a line that grows beyond the last piece is read to its end', async () => {
  const file = join(dir, 'growing.jsonl')
  await writeFile(file, 'first\nsec')
  const sources = await sourcesOf([file])
  await writeFile(file, 'first\nsecond\nthird\n')
  const reader = createPartReader()
  const read: string[] = []
  for await (const piece of piecesOf(sources))
    if (piece.kind === 'part') read.push(...(await reader.read(file, 0, piece.to)))
  await reader.close()
  expect(read).toEqual(['first', 'second'])
})

test('a segment that is compressed after it was listed is still read', async () => {
  const file = join(dir, '1.jsonl')
  await writeFile(file, 'first\nsecond\n')
  compressSegment(file)
  expect(await linesOf(file, 4)).toEqual(['first', 'second'])
})

/** What the threads read of a segment that is cut in pieces of `size` bytes. */
async function linesOf(file: string, size: number): Promise<string[]> {
  const reader = createPartReader()
  const found: string[] = []
  for await (const piece of piecesOf(await sourcesOf([file]), size)) {
    if (piece.kind !== 'part') throw new Error('a file is not a pipe')
    found.push(...(await reader.read(piece.file, piece.from, piece.to)))
  }
  await reader.close()
  return found.filter((line) => line !== '')
}

/** Compressed in frames of `size` bytes, with a table. */
function inFrames(text: string, size: number): Buffer {
  const contents = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
  const frames = contents.map((content) => compressFrame(Buffer.from(content)))
  const sizes = frames.map(({ length: bytes }, at) => ({ bytes, contentBytes: contents[at]?.length ?? 0 }))
  return Buffer.concat([...frames, seekTable(sizes)])
}

test('keeps so many groups of each kind, and counts the decisions of the others', () => {
  const whole = createTally()
  const limits = { groupsPerKind: 2, revisions: 1 }
  for (const capability of ['a:a', 'a:b', 'a:c', 'a:d', 'a:a']) {
    const part = createTally()
    addDecision(part, recordedDeny(capability), { ruling: 'allow', why: 'declared' })
    addDecision(part, recordedDeny(capability), { ruling: 'deny', why: 'worker_unknown' })
    mergeTally(whole, part, limits)
  }
  const { changed, otherReasons, changes } = createReport(whole, {
    audit: { file: 'f', verified: false, from: null, until: null },
    policy: { dir: 'd', revision: 'r' },
    memoOff: null,
    failOn: 'allow',
    elapsedMs: 1,
  })
  expect({ changed, otherReasons }).toEqual({ changed: 5, otherReasons: 5 })
  expect(changes.map(({ groups, unlistedDecisions }) => [groups.map(({ count }) => count), unlistedDecisions])).toEqual(
    [
      [[2, 1], 2],
      [[2, 1], 2],
    ],
  )
  expect(andMore(changes[0]!, 1)).toBe('and at least 2 more groups (3 decisions)')
  expect(andMore({ ...changes[0]!, unlistedDecisions: 0 }, 1)).toBe('and 1 more group (1 decision)')
  expect(andMore({ ...changes[0]!, unlistedDecisions: 0 }, 2)).toBeUndefined()
})

test('tells so many revisions apart', () => {
  const whole = createTally()
  for (const revision of ['r1', 'r2', 'r3']) {
    const part = createTally()
    const recorded = recordedDeny('a:a')
    addDecision(part, { ...recorded, revision }, { ruling: 'deny', why: recorded.why })
    mergeTally(whole, part, { groupsPerKind: 1, revisions: 1 })
  }
  expect([...whole.revisions]).toEqual([
    ['r1', 1],
    [OTHER_REVISIONS, 2],
  ])
})

test('several threads find what one finds', async () => {
  const files = await loadPolicyFiles(POLICY_DIR, 0)
  const file = join(dir, 'audit.jsonl')
  const capabilities = Array.from({ length: 300 }, (_, index) => `a:c${index % 7}`)
  const events = capabilities.map((capability) => recordOf({ capability, decision: 'allow' }))
  await writeFile(file, chainLines(events).lines)
  const task = { wasm: await readWasm(files), files: pick(files), window: ALL, memo: undefined }
  const found = []
  for (const threads of [1, 3]) {
    const whole = createTally()
    let bytes = 0
    const onTally = (tally: ReturnType<typeof createTally>, size: number): void => {
      mergeTally(whole, tally)
      bytes += size
    }
    await tallyPieces(piecesOf(await sourcesOf([file]), 16_384), task, onTally, threads)
    const groups = [...whole.groups.values()].map(({ subject, count }) => `${subject} ${count}`).sort()
    found.push({ bytes, ...whole.counts, groups })
  }
  expect(found[0]).toMatchObject({ replayed: 300, evaluated: 300, unreadable: 0 })
  expect(found[1]).toEqual(found[0])
})

test('a thread that fails ends the replay with its error', async () => {
  const files = await loadPolicyFiles(POLICY_DIR, 0)
  const file = join(dir, 'one.jsonl')
  await writeFile(file, chainLines([recordOf({ capability: 'a:a', decision: 'allow' })]).lines)
  const task = { wasm: Buffer.from('no wasm'), files: pick(files), window: ALL, memo: undefined }
  await expect(tallyPieces(piecesOf(await sourcesOf([file])), task, () => undefined, 2)).rejects.toThrow(/WebAssembly/)
})

test('shows progress on a terminal only', () => {
  const written: string[] = []
  const stream = (isTTY: boolean) =>
    ({ isTTY, write: (text: string) => written.push(text) }) as unknown as NodeJS.WriteStream
  let nowMs = 0
  for (const isTTY of [false, true]) {
    const progress = createProgress(100, stream(isTTY), () => nowMs)
    nowMs += 1000
    progress.update(50, 60_000)
    progress.end()
  }
  expect(written).toEqual(['\r\u001b[K50 %  60,000 decisions  60,000/s  1 s to go', '\r\u001b[K'])
  expect(progressLine({ bytes: 5, totalBytes: 0, count: 10, what: 'decisions', elapsedMs: 1000 })).toBe(
    '10 decisions  10/s',
  )
})

function pick({ dataText, enforcement, blocked }: Awaited<ReturnType<typeof loadPolicyFiles>>) {
  return { dataText, enforcement, blocked }
}

function recordedDeny(capability: string): Recorded {
  const line = readRecorded(chainLines([recordOf({ capability, decision: 'deny' })]).lines.trimEnd(), ALL)
  if (typeof line === 'string') throw new Error(line)
  return line
}
