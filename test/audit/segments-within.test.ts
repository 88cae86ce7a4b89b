import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compressSegment } from '../../src/audit/compress.ts'
import { segmentFile, segmentsIn } from '../../src/audit/places.ts'
import { segmentsWithin } from '../../src/audit/segments-within.ts'
import { chainLines } from '../../scripts/tools/audit-records.ts'
import { recordOf } from '../fixtures/replay.ts'

const HOUR_MS = 3_600_000
const START_MS = Date.UTC(2026, 10, 1)
/** The hour at which each segment begins; undefined: its first line is no record. */
const HOURS = [0, 1, undefined, 3, 4]
/** Their first records. */
const [S0, S1, S2, S3, S4] = [1, 11, 21, 31, 41]

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-within-'))
  for (const [at, hour] of HOURS.entries()) {
    const file = segmentFile(dir, at * 10 + 1)
    const atNs = BigInt(START_MS + (hour ?? 0) * HOUR_MS) * 1_000_000n
    const { lines } = chainLines([recordOf({ capability: 'a:a', decision: 'allow', atNs })])
    await writeFile(file, hour === undefined ? `torn\n${lines}` : lines)
    if (at < 4) compressSegment(file)
  }
})
afterAll(() => rm(dir, { recursive: true, force: true }))

test.each([
  { of: 'no range', since: undefined, until: undefined, found: [S0, S1, S2, S3, S4] },
  { of: 'a time before all', since: -5, until: undefined, found: [S0, S1, S2, S3, S4] },
  { of: 'a time within a segment', since: 3.5, until: undefined, found: [S3, S4] },
  {
    of: 'a time in one that begins with no record, which is read with those before it',
    since: 2.5,
    until: undefined,
    found: [S1, S2, S3, S4],
  },
  {
    of: 'the first minutes of a segment, which the one before may have calls of',
    since: 3.05,
    until: undefined,
    found: [S1, S2, S3, S4],
  },
  { of: 'a time after all', since: 50, until: undefined, found: [S4] },
  { of: 'an end within a segment', since: undefined, until: 1.5, found: [S0, S1, S2] },
  {
    of: 'an end just before a segment, which may have earlier calls',
    since: undefined,
    until: 3.95,
    found: [S0, S1, S2, S3, S4],
  },
  { of: 'an end before all; one without a time is kept', since: undefined, until: -5, found: [S0, S1, S2] },
  { of: 'both', since: 1.5, until: 3.5, found: [S1, S2, S3] },
])('$of: $found', async ({ since, until, found }) => {
  const at = (hour: number | undefined): number | undefined =>
    hour === undefined ? undefined : START_MS + hour * HOUR_MS
  const segments = await segmentsWithin(segmentsIn(dir), { since: at(since), until: at(until) })
  expect(segments.map(({ firstSeq }) => firstSeq)).toEqual(found)
})

test('a chain without segments has none', async () => {
  expect(await segmentsWithin([], { since: 0, until: 1 })).toEqual([])
})
