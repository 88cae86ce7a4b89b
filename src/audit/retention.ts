// Which of the oldest segments may go.
import type { AuditKeep } from '../platform/audit-settings.ts'
import type { RemovalReason } from './proof-event.ts'
import { sizeOf, type DiskOutlook, type SegmentFacts } from './outlook.ts'

export type RetentionRules = {
  readonly keep: AuditKeep
  /** What a disk without room means. */
  readonly full: 'stop' | 'drop_unshipped'
  readonly nowMs: number
  /** Records up to this one are shipped; undefined: none have to be. */
  readonly shippedSeq: number | undefined
}

/** `count`: of the oldest segments. */
type Removal = { readonly count: number; readonly reason: RemovalReason }

/**
 * What to remove now, oldest first; never the newest segment, which is written. A segment that has to be shipped goes only when
 * the disk is full and the rules permit it.
 */
export function removalOf(
  segments: readonly SegmentFacts[],
  disk: DiskOutlook,
  { keep, full, nowMs, shippedSeq }: RetentionRules,
): Removal | undefined {
  const closed = segments.slice(0, -1)
  const shipped = closed.findIndex((_, at) => !isShipped(segments, at, shippedSeq))
  const mayGo = shipped === -1 ? closed.length : shipped
  const old = closed.findIndex(({ endedMs }) => keep.maxAgeMs === undefined || endedMs >= nowMs - keep.maxAgeMs)
  const byAge = Math.min(mayGo, old === -1 ? closed.length : old)
  const bySize = Math.min(mayGo, beyond(closed, sizeOf(segments) - (keep.maxBytes ?? Infinity)))
  if (Math.max(byAge, bySize) > 0) {
    return byAge >= bySize ? { count: byAge, reason: 'age' } : { count: bySize, reason: 'size' }
  }
  if (!isFull(disk) || full === 'stop') return undefined
  const count = beyond(closed, disk.minFreeBytes - disk.freeBytes)
  return count === 0 ? undefined : { count, reason: 'disk_full' }
}

export function isFull({ freeBytes, minFreeBytes }: Pick<DiskOutlook, 'freeBytes' | 'minFreeBytes'>): boolean {
  return freeBytes < minFreeBytes
}

/** A segment ends before the next one begins. */
function isShipped(segments: readonly SegmentFacts[], at: number, shippedSeq: number | undefined): boolean {
  const next = segments[at + 1]
  return shippedSeq === undefined || (next !== undefined && next.firstSeq - 1 <= shippedSeq)
}

/** How many of the oldest segments have `bytes` together, or all. */
function beyond(segments: readonly SegmentFacts[], bytes: number): number {
  let [count, sum] = [0, 0]
  while (sum < bytes && count < segments.length) {
    sum += segments[count]?.bytes ?? 0
    count += 1
  }
  return count
}
