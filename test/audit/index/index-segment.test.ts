// The index of a segment is never the truth: whatever happens to it or to its segment, an answer is that of the segment.
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { indexFileOf, removeIndex } from '../../../src/audit/index/index-file.ts'
import { indexSegment } from '../../../src/audit/index/index-segment.ts'
import { createAuditSearch } from '../../../src/audit/index/search.ts'
import { stampOf } from '../../../src/audit/index/segment-lines.ts'
import { auditChainsIn, chainsAt, compressedFile } from '../../../src/audit/places.ts'
import { callOf, compressed, idAt, sealed, temporaryDir, writeChain, type AnyEvent } from './logs.ts'

const START = Date.UTC(2026, 10, 1)
const CALLS = 40
const ids = Array.from({ length: CALLS }, (_, n) => idAt(START + n, n))
const events: AnyEvent[] = ids.flatMap((_, n) =>
  callOf(n, START + n, { outcome: n % 2 === 0 ? 'timeout' : 'completed' }),
)
const timedOut = ids.filter((_, n) => n % 2 === 0)

/** One slot with one segment, or with a second one so that the first is closed. */
function made({ isClosed = false } = {}): { auditDir: string; file: string; indexFile: string } {
  const auditDir = temporaryDir()
  const more = isClosed ? [callOf(1000, START + 100_000)] : []
  const [file = ''] = writeChain(auditDir, 0, [events, ...more])
  return { auditDir, file, indexFile: indexFileOf(file) }
}

/** The ids of the calls that timed out, and whether each call is found by its id. */
async function answers(auditDir: string): Promise<{ timedOut: string[]; byId: string[] }> {
  await using search = createAuditSearch(auditChainsIn(auditDir))
  const { hits } = await search.page({ outcome: 'timeout' }, { order: 'oldest', limit: 1000 })
  const byId: string[] = []
  for (const id of ids) if ((await search.ofDecision(id)).length === 2) byId.push(id)
  return { timedOut: hits.map(({ record }) => String(record['decision_id'])), byId }
}

const ALL = { timedOut, byId: ids }

function change(indexFile: string, sql: string): void {
  const database = new DatabaseSync(indexFile)
  database.exec(sql)
  database.close()
}

test('an index that is missing is made, for its owner alone, and only once', async () => {
  const { auditDir, indexFile } = made({ isClosed: true })
  expect(await answers(auditDir)).toEqual(ALL)
  expect(statSync(indexFile).mode & 0o777).toBe(0o600)
  const before = stampOf(indexFile)
  expect(await answers(auditDir)).toEqual(ALL)
  expect(stampOf(indexFile)).toEqual(before)
})

/** Of a log with the same ids, none of which timed out. */
let another = ''
beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'crank-index-'))
  const [file = ''] = writeChain(dir, 0, [events.map((event) => ({ ...event, outcome: 'completed' }))])
  await indexSegment(file, { isClosed: true })
  another = indexFileOf(file)
})
afterAll(() => rmSync(dirname(dirname(another)), { recursive: true }))

const DAMAGE: Record<string, (indexFile: string) => void> = {
  'is empty': (indexFile) => writeFileSync(indexFile, ''),
  'is no database': (indexFile) => writeFileSync(indexFile, 'x'.repeat(10_000)),
  'is cut': (indexFile) => truncateSync(indexFile, 8192),
  'has pages of nothing': (indexFile) => {
    const bytes = readFileSync(indexFile)
    writeFileSync(indexFile, bytes.fill(0, 4096))
  },
  'is of another version': (indexFile) => change(indexFile, 'PRAGMA user_version = 99'),
  'has no tables': (indexFile) => change(indexFile, 'DROP TABLE record'),
  'was not finished before the machine was started again': (indexFile) =>
    change(indexFile, `DELETE FROM record; UPDATE progress SET sealed_stamp = '', boot = 'another'`),
  'points between the lines': (indexFile) =>
    change(
      indexFile,
      'CREATE TABLE more AS SELECT * FROM record; DELETE FROM record; INSERT INTO record SELECT at + 1, time, shape, decision, trace FROM more',
    ),
  'has the records under wrong shapes': (indexFile) =>
    change(
      indexFile,
      `UPDATE record SET shape = (SELECT shape.id FROM shape JOIN term ON term.id = outcome WHERE text = 'timeout')`,
    ),
  'is that of another segment': (indexFile) => copyFileSync(another, indexFile),
}

for (const [name, damage] of Object.entries(DAMAGE)) {
  for (const isClosed of [true, false]) {
    test(`an index that ${name} gives no other answer (${isClosed ? 'closed' : 'newest'} segment)`, async () => {
      const { auditDir, file, indexFile } = made({ isClosed })
      await indexSegment(file, { isClosed })
      damage(indexFile)
      expect(await answers(auditDir)).toEqual(ALL)
      // And it is good again.
      const database = new DatabaseSync(indexFile, { readOnly: true })
      expect(database.prepare('SELECT count(*) AS count FROM record').get()).toEqual({ count: events.length })
      database.close()
    })
  }
}

test('grows with its segment, and never takes a torn line', async () => {
  const { auditDir, file } = made()
  const { text } = sealed(events)
  const lines = text.split(/(?<=\n)/)
  writeFileSync(file, '')
  for (let at = 0; at < lines.length; at += 13) {
    const part = lines.slice(at, at + 13).join('')
    appendFileSync(file, part.slice(0, -20))
    const first = await indexSegment(file, { isClosed: false })
    appendFileSync(file, part.slice(-20))
    const second = await indexSegment(file, { isClosed: false })
    expect([first.records, second]).toMatchObject([
      Math.min(13, lines.length - at) - 1,
      { records: 1, isComplete: true },
    ])
  }
  expect(await answers(auditDir)).toEqual(ALL)
})

test('an id in the newest lines is found without writing to an index, whatever state that is in', async () => {
  const { auditDir, file, indexFile } = made()
  const lines = readFileSync(file, 'latin1').split(/(?<=\n)/)
  const find = async (): Promise<unknown> => {
    await using search = createAuditSearch(auditChainsIn(auditDir))
    return [(await search.ofDecision(ids[0]!)).length, (await search.ofDecision(ids[CALLS - 1]!)).length]
  }
  expect(await find()).toEqual([2, 2])
  expect(existsSync(indexFile)).toBe(false)
  writeFileSync(file, lines.slice(0, 40).join(''))
  await indexSegment(file, { isClosed: false })
  writeFileSync(file, lines.join(''))
  const before = stampOf(indexFile)
  expect(await find()).toEqual([2, 2])
  expect(stampOf(indexFile)).toEqual(before)
  change(indexFile, 'UPDATE record SET at = at + 1 WHERE at = 0')
  expect(await find()).toEqual([2, 2])
  writeFileSync(indexFile, 'x'.repeat(9000))
  expect(await find()).toEqual([2, 2])
  writeFileSync(file, `${lines[0]!}${'no line feed '.repeat(200_000)}\n${lines.slice(1).join('')}`)
  expect(await find()).toEqual([2, 2])
})

test('is made in parts, each of which goes on where the one before ended', async () => {
  const { auditDir, file } = made({ isClosed: true })
  writeFileSync(compressedFile(file), compressed(readFileSync(file, 'latin1')))
  rmSync(file)
  const parts: number[] = []
  for (let isComplete = false; !isComplete;) {
    const done = await indexSegment(file, { isClosed: true, budgetBytes: 1 })
    parts.push(done.records)
    isComplete = done.isComplete
  }
  expect(parts.length).toBeGreaterThan(5)
  expect(parts.reduce((sum, records) => sum + records, 0)).toBe(events.length)
  expect(await answers(auditDir)).toEqual(ALL)
})

test('waits for more lines, until the segment is closed', async () => {
  const { file } = made({ isClosed: true })
  const { size } = statSync(file)
  const nothing = { records: 0, bytes: 0, isComplete: true }
  expect(await indexSegment(file, { isClosed: false, minBytes: size + 1 })).toEqual(nothing)
  expect(await indexSegment(file, { isClosed: false, minBytes: size })).toMatchObject({ records: events.length })
  appendFileSync(file, sealed(callOf(3000, START)).text)
  expect(await indexSegment(file, { isClosed: false, minBytes: size })).toEqual(nothing)
  expect(await indexSegment(file, { isClosed: true, minBytes: size })).toMatchObject({ records: 2, isComplete: true })
})

test('two that index the same segment do not disturb each other', async () => {
  const { auditDir, file, indexFile } = made()
  const all = await Promise.all([1, 2, 3].map(() => indexSegment(file, { isClosed: false, budgetBytes: 4000 })))
  expect(all.reduce((sum, { records }) => sum + records, 0)).toBeGreaterThan(0)
  expect(await answers(auditDir)).toEqual(ALL)
  const database = new DatabaseSync(indexFile, { readOnly: true })
  expect(database.prepare('SELECT count(*) AS count FROM record').get()).toEqual({ count: events.length })
  expect(database.prepare('SELECT sum(count) AS count FROM shape').get()).toEqual({ count: events.length })
  database.close()
})

test('a segment that is compressed later keeps its index', async () => {
  const { auditDir, file, indexFile } = made({ isClosed: true })
  expect(await answers(auditDir)).toEqual(ALL)
  writeFileSync(compressedFile(file), compressed(readFileSync(file, 'latin1')))
  rmSync(file)
  change(indexFile, 'CREATE TABLE mark (one INTEGER)')
  expect(await answers(auditDir)).toEqual(ALL)
  const database = new DatabaseSync(indexFile, { readOnly: true })
  expect(database.prepare('SELECT * FROM mark').all()).toEqual([])
  database.close()
})

const CHANGES: Record<string, { change: (file: string) => void; left: number }> = {
  'is cut': { change: (file) => writeFileSync(file, sealed(events.slice(0, 50)).text), left: 25 },
  'is emptied': { change: (file) => writeFileSync(file, ''), left: 0 },
  'is replaced by one of the same size': {
    change: (file) => writeFileSync(file, sealed(events.map((event) => ({ ...event, outcome: 'shutdown' }))).text),
    left: CALLS,
  },
  'has one record changed': {
    change: (file) => writeFileSync(file, readFileSync(file, 'latin1').replace(/"timeout"/, '"tomeout"')),
    left: CALLS - 1,
  },
  'has a foreign line in it': {
    change: (file) => writeFileSync(file, readFileSync(file, 'latin1').replace('\n', '\nsomething else\n')),
    left: CALLS,
  },
}

for (const [name, { change: apply, left }] of Object.entries(CHANGES)) {
  test(`a segment that ${name} after it was indexed is answered from as it is`, async () => {
    const { auditDir, file } = made()
    expect(await answers(auditDir)).toEqual(ALL)
    apply(file)
    const after = await answers(auditDir)
    rmSync(indexFileOf(file))
    expect(after).toEqual(await answers(auditDir))
    expect(after.byId).toHaveLength(left)
  })
}

test('a file that somebody named gets no index beside it', async () => {
  const { file, indexFile } = made()
  await using search = createAuditSearch([chainsAt(file)[0]!])
  expect(await search.ofDecision(ids[3]!)).toHaveLength(2)
  const { hits } = await search.page({ outcome: 'timeout' }, { order: 'oldest', limit: 1000 })
  expect(hits).toHaveLength(timedOut.length)
  expect(existsSync(indexFile)).toBe(false)
})

test('where nothing may be written, the index is extended elsewhere', async () => {
  const { auditDir, file, indexFile } = made()
  const lines = readFileSync(file, 'latin1').split(/(?<=\n)/)
  writeFileSync(file, lines.slice(0, -9).join(''))
  await indexSegment(file, { isClosed: false })
  writeFileSync(file, lines.join(''))
  const before = readFileSync(indexFile)
  await asNobody(auditDir, async () => {
    for (const path of [indexFile, file]) chmodSync(path, 0o400)
    chmodSync(dirname(file), 0o500)
    expect(await answers(auditDir)).toEqual(ALL)
    chmodSync(indexFile, 0)
    expect(await answers(auditDir)).toEqual(ALL)
    chmodSync(indexFile, 0o400)
    chmodSync(dirname(file), 0o700)
  })
  expect(readFileSync(indexFile)).toEqual(before)
})

test('a wrong index that cannot be replaced is not believed either', async () => {
  const { auditDir, file, indexFile } = made({ isClosed: true })
  await indexSegment(file, { isClosed: true })
  DAMAGE['points between the lines']!(indexFile)
  const before = readFileSync(indexFile)
  await asNobody(auditDir, async () => {
    chmodSync(indexFile, 0o400)
    chmodSync(dirname(file), 0o500)
    expect(await answers(auditDir)).toEqual(ALL)
    chmodSync(dirname(file), 0o700)
  })
  expect(readFileSync(indexFile)).toEqual(before)
})

/** As a user whom rights bind, who owns this folder. */
async function asNobody(folder: string, run: () => Promise<void>): Promise<void> {
  const paths = [
    folder,
    ...readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  ]
  const isRoot = process.getuid?.() === 0
  const nobody = 65_534
  if (isRoot) for (const path of paths) chownSync(path, nobody, nobody)
  if (isRoot) process.seteuid?.(nobody)
  try {
    await run()
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
}

test('asked to read the segments themselves, a search believes no index', async () => {
  const { auditDir, file, indexFile } = made({ isClosed: true })
  await indexSegment(file, { isClosed: true })
  change(indexFile, 'DELETE FROM record')
  const before = readFileSync(indexFile)
  await using search = createAuditSearch(auditChainsIn(auditDir), { ignoresIndexes: true })
  const { hits } = await search.page({ outcome: 'timeout' }, { order: 'oldest', limit: 1000 })
  expect(hits.map(({ record }) => record['decision_id'])).toEqual(timedOut)
  expect(await search.ofDecision(ids[3]!)).toHaveLength(2)
  expect(readFileSync(indexFile)).toEqual(before)
})

test('goes with its segment', async () => {
  const { file, indexFile } = made()
  await indexSegment(file, { isClosed: false })
  writeFileSync(`${indexFile}-journal`, '')
  removeIndex(indexFile)
  expect([indexFile, `${indexFile}-journal`].filter(existsSync)).toEqual([])
})
