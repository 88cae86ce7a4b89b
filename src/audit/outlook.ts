// How much of the disk the audit log takes, how fast it grows, and how long the disk lasts.
import { statfsSync, statSync } from 'node:fs'
import type { AuditKeep, MinFree } from '../platform/audit-settings.ts'
import { openRecord, type ChainedRecord } from './chain.ts'
import { indexFileOf } from './index/index-file.ts'
import { readLines } from './lines.ts'
import { compressedFile, plainFile, type AuditSegment } from './places.ts'

/** `bytes`: with its index. `beganMs`: time of the first record; undefined if it cannot be read. `endedMs`: when the file was last written. */
export type SegmentFacts = AuditSegment & {
  readonly bytes: number
  readonly beganMs: number | undefined
  readonly endedMs: number
}

export type DiskOutlook = {
  /** All segments together. */
  readonly bytes: number
  readonly freeBytes: number
  readonly totalBytes: number
  /** What must stay free. */
  readonly minFreeBytes: number
  readonly bytesPerDay: number
  /** Until less than that is free, at the rate of the last day; undefined: it does not grow, or what is kept ends that before. */
  readonly daysLeft: number | undefined
}

const DAY_MS = 86_400_000
const NO_THROW = { throwIfNoEntry: false } as const
/** A rate over a shorter time says little. */
const MIN_SPAN_MS = 60_000

type OutlookRules = {
  readonly minFree: MinFree
  /** What ends the growth; undefined: nothing, such as while records wait to be shipped. */
  readonly keep: AuditKeep | undefined
  readonly nowMs: number
}

/** `segments`: of all slots, which share the disk. Throws the file system's error. */
export function diskOutlook(
  folder: string,
  segments: readonly SegmentFacts[],
  { minFree, keep, nowMs }: OutlookRules,
): DiskOutlook {
  const { freeBytes, totalBytes, minFreeBytes } = diskRoom(folder, minFree)
  const room = Math.max(0, freeBytes - minFreeBytes)
  const bytes = sizeOf(segments)
  const bytesPerDay = growth(segments, nowMs)
  const isBounded = mostBytes(bytesPerDay, keep) - bytes < room
  return {
    bytes,
    freeBytes,
    totalBytes,
    minFreeBytes,
    bytesPerDay,
    daysLeft: bytesPerDay === 0 || isBounded ? undefined : room / bytesPerDay,
  }
}

export function sizeOf(segments: readonly SegmentFacts[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** How large the log becomes at this rate: then as much is removed as is written. */
function mostBytes(bytesPerDay: number, keep: AuditKeep | undefined): number {
  return Math.min(keep?.maxBytes ?? Infinity, (bytesPerDay * (keep?.maxAgeMs ?? Infinity)) / DAY_MS)
}

export function diskRoom(
  folder: string,
  minFree: MinFree,
): Pick<DiskOutlook, 'freeBytes' | 'totalBytes' | 'minFreeBytes'> {
  const { bavail, blocks, bsize } = statfsSync(folder)
  const [freeBytes, totalBytes] = [bavail * bsize, blocks * bsize]
  const minFreeBytes = 'bytes' in minFree ? minFree.bytes : (totalBytes * minFree.percent) / 100
  return { freeBytes, totalBytes, minFreeBytes }
}

/**
 * The facts of segments that are there: a running controller compresses and removes them meanwhile. `known`: times of first
 * records, which never change, by the names of the plain segments. Rejects with the file system's error.
 */
export async function segmentFacts(
  segments: readonly AuditSegment[],
  known = new Map<string, number>(),
): Promise<SegmentFacts[]> {
  const facts: SegmentFacts[] = []
  for (const segment of segments) {
    const { file } = segment
    const there = statSync(file, NO_THROW) ?? statSync(compressedFile(file), NO_THROW)
    if (there === undefined) continue
    const beganMs = known.get(plainFile(file)) ?? timeOf(await firstRecordOf(file).catch(() => undefined))
    if (beganMs !== undefined) known.set(plainFile(file), beganMs)
    const indexBytes = statSync(indexFileOf(file), NO_THROW)?.size ?? 0
    facts.push({ ...segment, bytes: there.size + indexBytes, beganMs, endedMs: there.mtimeMs })
  }
  return facts
}

/** The first record of a segment, if it is one. */
export async function firstRecordOf(file: string): Promise<ChainedRecord | undefined> {
  for await (const { text, complete } of readLines(file)) {
    const record = complete ? openRecord(text) : 'not_json'
    return typeof record === 'string' ? undefined : record
  }
  return undefined
}

function timeOf(record: ChainedRecord | undefined): number | undefined {
  return record === undefined ? undefined : Date.parse(record.timestamp)
}

/** Bytes a day, by the segments that were written within the last day. */
function growth(segments: readonly SegmentFacts[], nowMs: number): number {
  const recent = segments.filter(({ endedMs }) => endedMs > nowMs - DAY_MS)
  const began = Math.min(...recent.map(({ beganMs }) => beganMs ?? nowMs))
  if (recent.length === 0) return 0
  const spanMs = Math.max(MIN_SPAN_MS, nowMs - began)
  return (recent.reduce((sum, { bytes }) => sum + bytes, 0) * DAY_MS) / spanMs
}
