// Why the audit log continues in a new file, as its record, its metric and its log line name it.

/**
 * `renamed`: the previous file exists under another name. `deleted`: it has no name left. `replaced`: it has no name left,
 * and another file has its name. `truncated`: it was cut in place, as `copytruncate` does.
 */
export const FILE_LEFT_REASONS = ['renamed', 'deleted', 'replaced', 'truncated'] as const
export type FileLeftReason = (typeof FILE_LEFT_REASONS)[number]
