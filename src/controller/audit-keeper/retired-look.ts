// What a slot has that nobody writes any more, and whether its segments still have to be compressed, shipped or removed.
import { lstat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openRecord } from '../../audit/chain.ts'
import { headIn } from '../../audit/head-in.ts'
import { indexFileOf } from '../../audit/index/index-file.ts'
import { readLines } from '../../audit/lines.ts'
import { diskRoom, firstRecordOf } from '../../audit/outlook.ts'
import { auditChainsIn, isCompressed } from '../../audit/places.ts'
import { isFull, type RetentionRules } from '../../audit/retention.ts'
import { readShipped, type ShippedTo } from '../../audit/shipped.ts'
import { unlessAbsent } from '../../audit/unless-absent.ts'
import type { MinFree } from '../../platform/audit-settings.ts'
import { ownSegments } from './own-segments.ts'

type RetiredRules = {
  /** For all slots together. */
  readonly keep: RetentionRules['keep']
  readonly full: RetentionRules['full']
  readonly minFree: MinFree
  readonly targets: readonly ShippedTo[]
  readonly nowMs: number
}

/**
 * `bytes`: with indexes. `oldestMs`: time of the oldest record. `work` undefined: there is nothing to do. `begins`: the newest
 * segment has records, so another one must begin before it can be compressed. `keep`: what the slot may keep, so that all slots
 * together have what they may. `faults`: a sentence for each file that is not one of its segments, though it has such a name.
 */
export type RetiredLook = {
  readonly bytes: number
  readonly oldestMs: number | undefined
  readonly work: { readonly begins: boolean; readonly keep: RetentionRules['keep'] } | undefined
  readonly faults: readonly string[]
}

type Facts = { readonly file: string; readonly bytes: number; readonly endedMs: number }

/** The records that keeping a slot makes itself: a segment with nothing else is never a reason for another one. */
const KEEPING = new Set<unknown>([
  'audit_segment_opened',
  'audit_segments_removed',
  'audit_signing_key',
  'audit_repaired',
  'audit_recovered',
  'clock_stepped',
])

/** Each removal leaves a segment that says so. As many stay, though they are too old: their removal leaves another one. */
const MAX_SMALL = 8

/** `known`: as for `ownSegments`. Rejects with the file system's error. */
export async function lookAtRetired(folder: string, rules: RetiredRules, known: Set<number>): Promise<RetiredLook> {
  const { segments: own, faults } = await ownSegments(folder, known)
  const segments = await factsOf(own.map(({ file }) => file))
  const [oldest, newest] = [segments[0], segments.at(-1)]
  if (oldest === undefined || newest === undefined) return { bytes: 0, oldestMs: undefined, work: undefined, faults }
  const bytes = sum(segments)
  const first = await firstRecordOf(oldest.file)
  const about = { bytes, oldestMs: first === undefined ? undefined : Date.parse(first.timestamp), faults }
  const { keep } = rules
  const excess = await excessOf(dirname(folder), keep.maxBytes)
  const begins = await hasRecords(newest.file)
  const closed = segments.slice(0, -1)
  const mustGo = thoseThatMustGo(closed, folder, rules)
  const isDue =
    begins ||
    closed.some(({ file }) => !isCompressed(file)) ||
    !(await isShipped(folder, rules.targets)) ||
    mustGo.length > MAX_SMALL ||
    (await haveRecords(excess > 0 ? closed : mustGo))
  // They are older than most of what the running processes write, so they go first.
  const maxBytes = keep.maxBytes === undefined ? undefined : Math.max(0, bytes - excess)
  return { ...about, work: isDue ? { begins, keep: { ...keep, maxBytes } } : undefined }
}

/** The segments that are too old, or all of them on a disk that is full. */
function thoseThatMustGo(
  closed: readonly Facts[],
  folder: string,
  { keep, full, minFree, nowMs }: RetiredRules,
): readonly Facts[] {
  if (full === 'drop_unshipped' && isFull(diskRoom(folder, minFree))) return closed
  return closed.filter(({ endedMs }) => endedMs < nowMs - (keep.maxAgeMs ?? Infinity))
}

/** Bytes of all slots beyond what they may have together. */
async function excessOf(auditDir: string, maxBytes: number | undefined): Promise<number> {
  if (maxBytes === undefined) return 0
  const files = auditChainsIn(auditDir).flatMap(({ segments }) => segments.map(({ file }) => file))
  return Math.max(0, sum(await factsOf(files)) - maxBytes)
}

/** Those that are files: a running process compresses and removes its own meanwhile. */
async function factsOf(files: readonly string[]): Promise<Facts[]> {
  const facts: Facts[] = []
  for (const file of files) {
    const stat = await lstat(file).catch(unlessAbsent)
    if (stat?.isFile() !== true) continue
    const index = await lstat(indexFileOf(file)).catch(unlessAbsent)
    facts.push({ file, bytes: stat.size + (index?.size ?? 0), endedMs: stat.mtimeMs })
  }
  return facts
}

function sum(facts: readonly Facts[]): number {
  return facts.reduce((all, { bytes }) => all + bytes, 0)
}

async function haveRecords(segments: readonly Facts[]): Promise<boolean> {
  for (const { file } of segments) if (await hasRecords(file)) return true
  return false
}

/** Other records than those of an earlier look. */
async function hasRecords(file: string): Promise<boolean> {
  for await (const { text, complete } of readLines(file)) {
    const record = complete ? openRecord(text) : 'not_json'
    if (typeof record === 'string' || !KEEPING.has(record.event)) return true
  }
  return false
}

async function isShipped(folder: string, targets: readonly ShippedTo[]): Promise<boolean> {
  if (targets.length === 0) return true
  const { seq: lastSeq } = await headIn(folder)
  const shipped = await Promise.all(targets.map((to) => readShipped(folder, to)))
  return shipped.every((one) => one !== undefined && one.seq >= lastSeq)
}
