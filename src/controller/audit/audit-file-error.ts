// Why an audit file cannot be used. `message` is for the operator:
// it names the file and the fix, and never reaches a caller.

/** `message`: a sentence with the file's name and the fix. `reason`: the same without a path, for health. */
export class AuditFileError extends Error {
  override readonly name = 'AuditFileError'
  readonly reason: string

  constructor(message: string, options: ErrorOptions & { reason: string }) {
    super(message, options)
    this.reason = options.reason
  }
}
