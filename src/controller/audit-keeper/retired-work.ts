// Whether the segments of a slot that nobody writes any more still have to be compressed, shipped or removed.
import { dirname } from 'node:path'
import { openRecord } from '../../audit/chain.ts'
import { readLines, readLinesBackwards } from '../../audit/lines.ts'
import { segmentFacts, sizeOf, type SegmentFacts } from '../../audit/outlook.ts'
import { auditChainsIn, isCompressed, segmentsIn } from '../../audit/places.ts'
import type { RetentionRules } from '../../audit/retention.ts'
import { readShipped, type ShippedTo } from '../../audit/shipped.ts'

type WorkRules = {
  /** For all slots together. */
  readonly keep: RetentionRules['keep']
  readonly targets: readonly ShippedTo[]
  readonly nowMs: number
  /** As of `segmentFacts`: for several looks. */
  readonly known?: Map<string, number>
}

/** The records that keeping a slot makes itself. */
const KEEPING = new Set<unknown>(['audit_segment_opened', 'audit_segments_removed', 'audit_signing_key'])

/**
 * `keep`: what the slot may keep, so that all slots together have what they may; undefined: there is nothing to do. Rejects with
 * the file system's error.
 */
export async function workOf(
  folder: string,
  { keep, targets, nowMs, known }: WorkRules,
): Promise<{ readonly keep: RetentionRules['keep'] } | undefined> {
  const segments = await segmentFacts(segmentsIn(folder), known)
  const newest = segments.at(-1)
  if (newest === undefined) return undefined
  const closed = segments.slice(0, -1)
  const excess = await excessOf(dirname(folder), keep.maxBytes, known)
  const isOld = ({ endedMs }: SegmentFacts): boolean => endedMs < nowMs - (keep.maxAgeMs ?? Infinity)
  const isDue =
    closed.some((segment) => excess > 0 || isOld(segment) || !isCompressed(segment.file)) ||
    (await hasRecords(newest.file)) ||
    !(await isShipped(folder, newest.file, targets))
  if (!isDue) return undefined
  // They are older than what the running processes write, so they go first.
  const maxBytes = keep.maxBytes === undefined ? undefined : Math.max(0, sizeOf(segments) - excess)
  return { keep: { ...keep, maxBytes } }
}

/** Bytes of all slots beyond what they may have together. */
async function excessOf(
  auditDir: string,
  maxBytes: number | undefined,
  known: Map<string, number> | undefined,
): Promise<number> {
  if (maxBytes === undefined) return 0
  const all = auditChainsIn(auditDir).flatMap(({ segments }) => segments)
  return Math.max(0, sizeOf(await segmentFacts(all, known)) - maxBytes)
}

/** Other records than those of an earlier look. */
async function hasRecords(file: string): Promise<boolean> {
  for await (const { text, complete } of readLines(file)) {
    const record = complete ? openRecord(text) : 'not_json'
    if (typeof record === 'string' || !KEEPING.has(record.event)) return true
  }
  return false
}

async function isShipped(folder: string, newest: string, targets: readonly ShippedTo[]): Promise<boolean> {
  const lastSeq = await lastSeqOf(newest)
  const shipped = await Promise.all(targets.map((to) => readShipped(folder, to)))
  return shipped.every((one) => one !== undefined && one.seq >= lastSeq)
}

async function lastSeqOf(file: string): Promise<number> {
  for await (const text of readLinesBackwards(file)) {
    const record = openRecord(text)
    return typeof record === 'string' ? Infinity : record.seq
  }
  return 0
}
