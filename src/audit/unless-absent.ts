// For a file that retention, compression or somebody else may remove while it is looked for.

/** As the handler of a rejection: undefined for a file that is not there; any other error is thrown again. */
export function unlessAbsent(cause: unknown): undefined {
  if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
}
