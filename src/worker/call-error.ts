// How a call ends badly in a worker: by a code that the capability declared, or by one of the runtime's own.

/** The runtime's own codes. What a capability may answer besides is in its `errors`. */
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

/** Thrown by a handler. `code` must be in the capability's `errors`; `message` is read by the caller. */
export class HandlerError extends Error {
  override readonly name = 'HandlerError'
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Thrown by the runtime. `message` is read by the caller. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError'
  readonly code: RuntimeErrorCode
  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The way for a handler to fail: `throw capabilityError('TEXT_TOO_SHORT', 'at least 50 characters')`. */
export function capabilityError(code: string, message: string, options?: ErrorOptions): HandlerError {
  return new HandlerError(code, message, options)
}
