// Why an audit file cannot be used. `message` is for the operator: it names files and what to do; it never reaches a caller.

/** `message` is a whole sentence with the file's name and the way out; `reason` says the same without a path, for health. */
export class AuditFileError extends Error {
  override readonly name = 'AuditFileError'
  readonly reason: string

  constructor(message: string, options: ErrorOptions & { reason: string }) {
    super(message, options)
    this.reason = options.reason
  }
}
