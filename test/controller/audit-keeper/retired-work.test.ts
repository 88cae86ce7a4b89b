// When a slot that nobody writes any more still needs care, with real segments.
import { existsSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { compressSegment } from '../../../src/audit/compress.ts'
import { compressedFile } from '../../../src/audit/places.ts'
import { shippedFile, shippedText } from '../../../src/audit/shipped.ts'
import { workOf } from '../../../src/controller/audit-keeper/retired-work.ts'
import { decisions, makeChain, type MadeChain } from '../../fixtures/audit-segments.ts'

const NOW_MS = Date.now()
const ALL = { maxAgeMs: undefined, maxBytes: undefined }
const RULES = { keep: ALL, targets: [], nowMs: NOW_MS }

/** A slot as it is after it was looked after: one complete segment, and one that says that it begins. */
async function settledSlot(slot = 1, auditDir?: string): Promise<{ chain: MadeChain; complete: string }> {
  const chain = await makeChain(slot, auditDir)
  await chain.add(...decisions(3))
  const first = chain.file
  await chain.rotate()
  compressSegment(first)
  return { chain, complete: compressedFile(first) }
}

test('records in the newest segment, and complete segments that are not compressed', async () => {
  const chain = await makeChain(1)
  expect(await workOf(chain.folder, RULES)).toBeUndefined()
  await chain.add(...decisions(1))
  expect(await workOf(chain.folder, RULES)).toEqual({ keep: ALL })
  const first = chain.file
  await chain.rotate()
  expect(await workOf(chain.folder, RULES)).toEqual({ keep: ALL })
  compressSegment(first)
  expect(await workOf(chain.folder, RULES)).toBeUndefined()
  await chain.add(...decisions(1))
  expect(await workOf(chain.folder, RULES)).toEqual({ keep: ALL })
})

test('complete segments that are too old, however late they were compressed', async () => {
  const chain = await makeChain(1)
  await chain.add(...decisions(3))
  const first = chain.file
  const hourAgo = new Date(NOW_MS - 3_600_000)
  utimesSync(first, hourAgo, hourAgo)
  await chain.rotate()
  compressSegment(first)
  expect([existsSync(first), statSync(compressedFile(first)).mtime]).toEqual([false, hourAgo])
  expect(await workOf(chain.folder, { ...RULES, keep: { ...ALL, maxAgeMs: 7_200_000 } })).toBeUndefined()
  const keep = { ...ALL, maxAgeMs: 1_800_000 }
  expect(await workOf(chain.folder, { ...RULES, keep })).toEqual({ keep })
})

test('what all slots have together beyond the size is taken from it, and no more than that', async () => {
  const { chain, complete } = await settledSlot()
  const live = await makeChain(0, chain.auditDir)
  await live.add(...decisions(20))
  const bytes = { live: statSync(live.file).size, own: statSync(complete).size + statSync(chain.file).size }
  const keepOf = (maxBytes: number) => workOf(chain.folder, { ...RULES, keep: { ...ALL, maxBytes } })
  expect(await keepOf(bytes.live + bytes.own)).toBeUndefined()
  expect(await keepOf(bytes.live + bytes.own - 10)).toEqual({ keep: { ...ALL, maxBytes: bytes.own - 10 } })
  expect(await keepOf(bytes.live - 10)).toEqual({ keep: { ...ALL, maxBytes: 0 } })
})

test('what a target does not have yet', async () => {
  const { chain } = await settledSlot()
  const rules = { ...RULES, targets: ['otlp', 'nats'] as const }
  const ship = (to: 'otlp' | 'nats', seq: number): void =>
    writeFileSync(shippedFile(chain.folder, to), shippedText({ ...chain.head, seq, position: 0, before: null }))
  expect(await workOf(chain.folder, rules)).toEqual({ keep: ALL })
  ship('otlp', chain.head.seq)
  ship('nats', chain.head.seq - 1)
  expect(await workOf(chain.folder, rules)).toEqual({ keep: ALL })
  ship('nats', chain.head.seq)
  expect(await workOf(chain.folder, rules)).toBeUndefined()
})
