// How much of the disk the audit log takes, how fast it grows, and how long the disk lasts.
import { statfsSync, statSync } from 'node:fs'
import type { MinFree } from '../platform/audit-settings.ts'
import { openRecord, type ChainedRecord } from './chain.ts'
import { readLines } from './lines.ts'
import { compressedFile, type AuditSegment } from './places.ts'

/** `beganMs`: time of the first record; undefined if it cannot be read. `endedMs`: when the file was last written. */
export type SegmentFacts = AuditSegment & {
  readonly bytes: number
  readonly beganMs: number | undefined
  readonly endedMs: number
}

export type DiskOutlook = {
  /** All segments together. */
  readonly bytes: number
  /** Time of the oldest record. */
  readonly oldestMs: number | undefined
  readonly freeBytes: number
  readonly totalBytes: number
  /** What must stay free. */
  readonly minFreeBytes: number
  readonly bytesPerDay: number
  /** Until less than that is free, at the rate of the last day; undefined: it does not grow. */
  readonly daysLeft: number | undefined
}

const DAY_MS = 86_400_000
const NO_THROW = { throwIfNoEntry: false } as const
/** A rate over a shorter time says little. */
const MIN_SPAN_MS = 60_000

/** Throws the file system's error. */
export function diskOutlook(
  folder: string,
  segments: readonly SegmentFacts[],
  { minFree, nowMs }: { readonly minFree: MinFree; readonly nowMs: number },
): DiskOutlook {
  const { freeBytes, totalBytes, minFreeBytes } = diskRoom(folder, minFree)
  const bytesPerDay = growth(segments, nowMs)
  const oldest = Math.min(...segments.map(({ beganMs }) => beganMs ?? Infinity))
  return {
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    oldestMs: oldest === Infinity ? undefined : oldest,
    freeBytes,
    totalBytes,
    minFreeBytes,
    bytesPerDay,
    daysLeft: bytesPerDay === 0 ? undefined : Math.max(0, freeBytes - minFreeBytes) / bytesPerDay,
  }
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
 * The facts of segments that are there: a running controller compresses and removes them meanwhile. `known`: times of first records by their number, which never change. Rejects with the file system's
 * error.
 */
export async function factsOf(
  segments: readonly AuditSegment[],
  known = new Map<number, number | undefined>(),
): Promise<SegmentFacts[]> {
  const facts: SegmentFacts[] = []
  for (const segment of segments) {
    const { firstSeq, file } = segment
    const there = statSync(file, NO_THROW) ?? statSync(compressedFile(file), NO_THROW)
    if (there === undefined) continue
    const beganMs = known.get(firstSeq) ?? timeOf(await firstRecordOf(file).catch(() => undefined))
    if (beganMs !== undefined) known.set(firstSeq, beganMs)
    facts.push({ ...segment, bytes: there.size, beganMs, endedMs: there.mtimeMs })
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
