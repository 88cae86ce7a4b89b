// The error of an operation, on both sides of the thread.

export type FaultCode = 'INVALID_INPUT' | 'LIMIT_EXCEEDED' | 'INDEX_UNAVAILABLE'

/** The caller reads `message`: it names the limit or the position in the input, never a path or a text. */
export class SearchFault extends Error {
  override readonly name = 'SearchFault'
  readonly code: FaultCode
  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
