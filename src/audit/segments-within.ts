// Which segments of a chain can have records of a time range: a log of years is not read for a day of it.
import { firstRecordOf } from './outlook.ts'
import type { AuditSegment } from './places.ts'

/** Unix milliseconds: `since` is the first one, `until` the first one that is too late. */
type TimeRange = { readonly since?: number | undefined; readonly until?: number | undefined }

/** A record has the time of its call's beginning, which may be before that of the record before it, and clocks are set. */
const SPARE_MS = 10 * 60_000

/**
 * From the last segment that begins before the range to the last one that begins within it. Looks at the first record of segments,
 * from the newest. One that does not begin with a record, or cannot be read, belongs to the segments before it.
 */
export async function segmentsWithin(
  segments: readonly AuditSegment[],
  { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: TimeRange,
): Promise<readonly AuditSegment[]> {
  let end = segments.length
  while (end > 1 && until < Infinity && (await beganMs(segments[end - 1])) >= until + SPARE_MS) end--
  let start = end - 1
  while (start > 0 && since > -Infinity && !((await beganMs(segments[start])) < since - SPARE_MS)) start--
  return segments.slice(since > -Infinity ? Math.max(0, start) : 0, end)
}

async function beganMs(segment: AuditSegment | undefined): Promise<number> {
  const record = segment === undefined ? undefined : await firstRecordOf(segment.file).catch(() => undefined)
  return record === undefined ? Number.NaN : Date.parse(record.timestamp)
}
