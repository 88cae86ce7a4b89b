// Why the audit log continues in a new segment, as its record, its metric and its log line name it.

/**
 * What somebody did to the segment before, in words. `renamed`: it exists under another name. `deleted`: it has no name left. `replaced`:
 * it has no name left, and another file has its name. `truncated`: it was cut in place, as `copytruncate` does.
 * `permissions_changed`: it has another mode or owner. `foreign_write`: another process wrote to it. `rolled_back`: the folder
 * has an older state than the controller knows, as after a restored backup.
 */
export const BREAKS = {
  renamed: 'the one before was renamed',
  deleted: 'the one before was deleted',
  replaced: 'the one before was replaced',
  truncated: 'the one before was truncated',
  permissions_changed: 'the one before got another mode or owner',
  foreign_write: 'another process wrote to the one before',
  rolled_back: 'the folder has an older state than the controller knew',
} as const
export type BreakReason = keyof typeof BREAKS

/**
 * What the controller does by itself. `size`, `age`: the segment before is full, or old. `requested`: by an operator.
 * `started`: by a new process.
 */
const ROTATIONS = ['size', 'age', 'requested', 'started'] as const
export type RotationReason = (typeof ROTATIONS)[number]

export type SegmentReason = RotationReason | BreakReason
export const SEGMENT_REASONS = [...ROTATIONS, ...(Object.keys(BREAKS) as BreakReason[])]

export function isBreak(reason: SegmentReason): reason is BreakReason {
  return reason in BREAKS
}
