// How the command line names a call whose end is not on record.
export const UNKNOWN_OUTCOME = 'unknown: still running, or its record was lost with the last 20 ms before a crash'
