// Why the audit log continues in a new segment, as its record, its metric and its log line name it.

/**
 * What the controller does by itself. `size`, `age`: the segment before is full, or old. `requested`: by an operator.
 * `started`: by a new process.
 */
const ROTATION_REASONS = ['size', 'age', 'requested', 'started'] as const

/**
 * What somebody did to the segment before. `renamed`: it exists under another name. `deleted`: it has no name left. `replaced`:
 * it has no name left, and another file has its name. `truncated`: it was cut in place, as `copytruncate` does.
 * `permissions_changed`: it has another mode or owner. `foreign_write`: another process wrote to it. `rolled_back`: the folder
 * has an older state than the controller knows, as after a restored backup.
 */
const BREAK_REASONS = [
  'renamed',
  'deleted',
  'replaced',
  'truncated',
  'permissions_changed',
  'foreign_write',
  'rolled_back',
] as const

export const SEGMENT_REASONS = [...ROTATION_REASONS, ...BREAK_REASONS] as const
export type RotationReason = (typeof ROTATION_REASONS)[number]
export type BreakReason = (typeof BREAK_REASONS)[number]
export type SegmentReason = RotationReason | BreakReason

export function isBreak(reason: SegmentReason): reason is BreakReason {
  return (BREAK_REASONS as readonly string[]).includes(reason)
}
