// Why the audit log goes on in a new file: a word of its record, of its metric and of its log line.

/**
 * `renamed`: the file before lives on under another name. `deleted`: it has no name left. `replaced`: the same, and another
 * file has its name. `truncated`: it was cut in place, as `copytruncate` does.
 */
export const FILE_LEFT_REASONS = ['renamed', 'deleted', 'replaced', 'truncated'] as const
export type FileLeftReason = (typeof FILE_LEFT_REASONS)[number]
