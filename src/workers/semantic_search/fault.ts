// How an operation fails, on both sides of the thread.

export type FaultCode = 'INVALID_INPUT' | 'LIMIT_EXCEEDED' | 'INDEX_UNAVAILABLE'

/** `message` is read by the caller: it names the limit or the place in the input, never a path or a text. */
export class SearchFault extends Error {
  override readonly name = 'SearchFault'
  readonly code: FaultCode
  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
