// Why an audit file cannot be used at start. For the operator: it names files and what to do; it never reaches a caller.

/** `message` is a whole sentence with the file's name and the way out. */
export class AuditFileError extends Error {
  override readonly name = 'AuditFileError'
}
