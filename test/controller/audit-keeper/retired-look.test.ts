// When a slot that nobody writes any more still needs care, with real segments.
import { existsSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { compressSegment } from '../../../src/audit/compress.ts'
import { compressedFile, segmentFile } from '../../../src/audit/places.ts'
import { shippedFile, shippedText } from '../../../src/audit/shipped.ts'
import { lookAtRetired } from '../../../src/controller/audit-keeper/retired-look.ts'
import { AUDIT_EVENTS } from '../../observability/audit-events.ts'
import { decisions, makeChain, type MadeChain } from '../../fixtures/audit-segments.ts'

const NOW_MS = Date.now()
const HOUR_MS = 3_600_000
const ALL = { maxAgeMs: undefined, maxBytes: undefined }

async function workOf({ folder }: MadeChain, rules: Partial<Parameters<typeof lookAtRetired>[1]> = {}) {
  const given = { keep: ALL, full: 'stop', minFree: { bytes: 1 }, targets: [], nowMs: NOW_MS, ...rules } as const
  return (await lookAtRetired(folder, given, new Set())).work
}

/** A slot as it is after it was looked after: one complete segment, and one that says that it begins. */
async function settledSlot(): Promise<{ chain: MadeChain; complete: string }> {
  const chain = await makeChain(1)
  await chain.add(...decisions(3))
  const complete = await nextSegment(chain)
  return { chain, complete }
}

/** The one before is compressed, and was written an hour ago. */
async function nextSegment(chain: MadeChain): Promise<string> {
  const { file } = chain
  const hourAgo = new Date(NOW_MS - HOUR_MS)
  utimesSync(file, hourAgo, hourAgo)
  await chain.rotate()
  compressSegment(file)
  return compressedFile(file)
}

test('records in the newest segment, and complete segments that are not compressed', async () => {
  const chain = await makeChain(1)
  expect(await workOf(chain)).toBeUndefined()
  await chain.add(...decisions(1))
  expect(await workOf(chain)).toEqual({ begins: true, keep: ALL })
  const first = chain.file
  await chain.rotate()
  expect(await workOf(chain)).toEqual({ begins: false, keep: ALL })
  compressSegment(first)
  expect(await workOf(chain)).toBeUndefined()
  await chain.add(AUDIT_EVENTS.audit_segments_removed, AUDIT_EVENTS.audit_signing_key, AUDIT_EVENTS.clock_stepped)
  expect(await workOf(chain)).toBeUndefined()
  await chain.add(...decisions(1))
  expect(await workOf(chain)).toEqual({ begins: true, keep: ALL })
})

test('complete segments that are too old, however late they were compressed; not those of keeping it', async () => {
  const { chain, complete } = await settledSlot()
  expect([existsSync(complete), statSync(complete).mtimeMs]).toEqual([true, NOW_MS - HOUR_MS])
  expect(await workOf(chain, { keep: { ...ALL, maxAgeMs: 2 * HOUR_MS } })).toBeUndefined()
  const keep = { ...ALL, maxAgeMs: HOUR_MS / 2 }
  expect(await workOf(chain, { keep })).toEqual({ begins: false, keep })

  const kept = await makeChain(1)
  await kept.rotate()
  await nextSegment(kept)
  expect(await workOf(kept, { keep })).toBeUndefined()
  // Many of them are removed together.
  for (let count = 2; count <= 9; count++) await nextSegment(kept)
  expect(await workOf(kept, { keep })).toEqual({ begins: false, keep })
})

test('what all slots have together beyond the size is taken from it, and no more than that', async () => {
  const { chain, complete } = await settledSlot()
  const live = await makeChain(0, chain.auditDir)
  await live.add(...decisions(20))
  // An archive that somebody has linked there is nobody's.
  symlinkSync(live.file, segmentFile(live.folder, 999))
  const bytes = { live: statSync(live.file).size, own: statSync(complete).size + statSync(chain.file).size }
  const keepOf = (maxBytes: number) => workOf(chain, { keep: { ...ALL, maxBytes } })
  expect(await keepOf(bytes.live + bytes.own)).toBeUndefined()
  expect(await keepOf(bytes.live + bytes.own - 10)).toMatchObject({ keep: { ...ALL, maxBytes: bytes.own - 10 } })
  expect(await keepOf(bytes.live - 10)).toMatchObject({ keep: { ...ALL, maxBytes: 0 } })
})

test('a full disk, where that removes segments', async () => {
  const { chain } = await settledSlot()
  const minFree = { percent: 100 }
  expect(await workOf(chain, { minFree, full: 'stop' })).toBeUndefined()
  expect(await workOf(chain, { minFree, full: 'drop_unshipped' })).toEqual({ begins: false, keep: ALL })
})

test('what a target does not have yet', async () => {
  const { chain } = await settledSlot()
  const rules = { targets: ['otlp', 'nats'] } as const
  const ship = (to: 'otlp' | 'nats', seq: number): void =>
    writeFileSync(shippedFile(chain.folder, to), shippedText({ ...chain.head, seq, position: 0, before: null }))
  expect(await workOf(chain, rules)).toEqual({ begins: false, keep: ALL })
  ship('otlp', chain.head.seq)
  ship('nats', chain.head.seq - 1)
  expect(await workOf(chain, rules)).toEqual({ begins: false, keep: ALL })
  ship('nats', chain.head.seq)
  expect(await workOf(chain, rules)).toBeUndefined()
})

test('files that are not its segments are named, and no reason to do anything', async () => {
  const { chain, complete } = await settledSlot()
  writeFileSync(join(chain.folder, '2.jsonl'), 'not a record\n')
  const rules = { keep: ALL, full: 'stop', minFree: { bytes: 1 }, targets: [], nowMs: NOW_MS } as const
  const look = await lookAtRetired(chain.folder, rules, new Set())
  expect(look).toEqual({
    bytes: statSync(complete).size + statSync(chain.file).size,
    oldestMs: Date.parse(AUDIT_EVENTS.policy_decision.timestamp),
    work: undefined,
    faults: [expect.stringMatching(/2\.jsonl is left alone, .*: move it away$/)],
  })
})
