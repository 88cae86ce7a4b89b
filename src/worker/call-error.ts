// Errors of a call in a worker: codes that the capability declared, or codes of the runtime.

/** The codes of the runtime. A capability declares its own codes in `errors`. */
export const RUNTIME_ERRORS = {
  INVALID_INPUT: { status: 400, retryable: false },
  CALL_MALFORMED: { status: 400, retryable: false },
  NOT_CONTROLLER: { status: 403, retryable: false },
  CAPABILITY_UNKNOWN: { status: 404, retryable: false },
  NOT_FOUND: { status: 404, retryable: false },
  INPUT_TOO_LARGE: { status: 413, retryable: false },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, retryable: false },
  OUTPUT_INVALID: { status: 500, retryable: false },
  CAPABILITY_NOT_DECLARED: { status: 500, retryable: false },
  INTERNAL: { status: 500, retryable: false },
  BUSY: { status: 503, retryable: true },
  SHUTTING_DOWN: { status: 503, retryable: true },
  CALLER_LEFT: { status: 503, retryable: true },
  DEADLINE_EXCEEDED: { status: 504, retryable: true },
} as const satisfies Record<string, { status: number; retryable: boolean }>

type RuntimeErrorCode = keyof typeof RUNTIME_ERRORS

/** A handler throws it. `code` must be declared in the capability's `errors`; the caller reads `message`. */
export class HandlerError extends Error {
  override readonly name = 'HandlerError'
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The runtime throws it. The caller reads `message`. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError'
  readonly code: RuntimeErrorCode
  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** How a handler reports an error: `throw capabilityError('TEXT_TOO_SHORT', 'at least 50 characters')`. */
export function capabilityError(code: string, message: string, options?: ErrorOptions): HandlerError {
  return new HandlerError(code, message, options)
}
