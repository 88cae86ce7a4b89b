// The one error table: code -> status -> what a caller may read. Every failed request ends with an AppError.

/** `retryAfterS`: seconds for the Retry-After header, for failures that may pass by themselves. */
type ErrorKind = { readonly status: number; readonly title: string; readonly retryAfterS?: number }

export const ERRORS = {
  client_certificate_required: { status: 401, title: 'a client certificate is required' },
  client_certificate_untrusted: {
    status: 401,
    title: 'the certificate does not chain to the bundle of its trust domain',
  },
  client_certificate_expired: { status: 401, title: 'the certificate has expired' },
  client_certificate_not_yet_valid: { status: 401, title: 'the certificate is not valid yet' },
  client_certificate_revoked: { status: 401, title: 'the certificate, or one of its issuers, is revoked' },
  client_certificate_profile_invalid: { status: 401, title: 'the certificate is not a valid X.509-SVID leaf' },
  spiffe_id_not_found_in_certificate: { status: 401, title: 'the certificate has no URI SAN' },
  spiffe_id_invalid: { status: 401, title: 'the certificate does not have exactly one valid SPIFFE ID' },
  request_invalid: { status: 400, title: 'the request is malformed' },
  capability_access_denied: { status: 403, title: 'policy denies this call' },
  registration_denied: { status: 403, title: 'policy denies this registration' },
  capability_unknown: { status: 404, title: 'no worker manifest declares this capability' },
  worker_replaced: { status: 409, title: 'a newer instance has this worker id and answers its probe', retryAfterS: 30 },
  worker_not_registered: { status: 404, title: 'no such registration; register again' },
  idempotency_in_progress: {
    status: 409,
    title: 'a request with this idempotency key is still running',
    retryAfterS: 1,
  },
  idempotency_outcome_unknown: {
    status: 409,
    title: 'nobody knows whether the request with this idempotency key was executed',
  },
  idempotency_key_reused: { status: 422, title: 'this idempotency key was used for another request' },
  not_found: { status: 404, title: 'no such route' },
  method_not_allowed: { status: 405, title: 'this route does not support that method' },
  payload_too_large: { status: 413, title: 'the body is larger than allowed' },
  host_not_allowed: { status: 421, title: 'this listener does not answer to that host name' },
  uri_too_long: { status: 414, title: 'the request target is longer than allowed' },
  unsupported_media_type: { status: 415, title: 'this content type is not accepted here' },
  headers_too_large: { status: 431, title: 'the request headers are longer than allowed' },
  request_timeout: { status: 408, title: 'the request did not arrive in time' },
  rate_limited: { status: 429, title: 'the caller is over its limit', retryAfterS: 1 },
  internal_error: { status: 500, title: 'internal error' },
  worker_failed: { status: 502, title: 'the worker did not give a valid answer' },
  policy_engine_unavailable: { status: 503, title: 'the policy engine did not answer', retryAfterS: 1 },
  policy_engine_error: { status: 503, title: 'the policy engine gave no valid decision', retryAfterS: 1 },
  policy_not_ready: { status: 503, title: 'no policy is loaded yet', retryAfterS: 1 },
  audit_unavailable: { status: 503, title: 'the audit log cannot be written', retryAfterS: 1 },
  no_worker_available: { status: 503, title: 'no live worker provides this capability', retryAfterS: 5 },
  worker_busy: { status: 503, title: 'the worker is at its limit', retryAfterS: 1 },
  overloaded: { status: 503, title: 'the controller is at its limit', retryAfterS: 1 },
  slo_shed: { status: 503, title: 'the error budget of this capability is burning', retryAfterS: 5 },
  idempotency_unavailable: { status: 503, title: 'the store of idempotency keys cannot be used', retryAfterS: 1 },
  registry_unavailable: { status: 503, title: 'the registry of workers cannot be changed', retryAfterS: 1 },
  parent_unavailable: {
    status: 503,
    title: "the parent of the controller's processes does not answer",
    retryAfterS: 1,
  },
  shutting_down: { status: 503, title: 'the controller is shutting down', retryAfterS: 1 },
  worker_timeout: { status: 504, title: 'the worker did not answer in time' },
  loop_detected: { status: 508, title: 'the chain of calls is too deep' },
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

/** The code of an error that refuses a peer's identity (status 401). */
export type IdentityErrorCode = { [C in ErrorCode]: (typeof ERRORS)[C]['status'] extends 401 ? C : never }[ErrorCode]

/** True for the codes that refuse a peer's identity. */
export function isIdentityError(code: ErrorCode): code is IdentityErrorCode {
  return ERRORS[code].status === 401
}

/** A failure with a stable code. `message` is the public `reason`: no path, no stack, no text from another party. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  /** A more specific stable code where there is one: a policy reason, or an error code that the worker declared. */
  readonly reasonCode: string | undefined
  /** The value of the table, unless the thrower knows a better one. */
  readonly retryAfterS: number | undefined
  /** Further header fields of the answer, by lower-case name. */
  readonly headers: Readonly<Record<string, string>> | undefined

  constructor(
    code: ErrorCode,
    message?: string,
    options?: ErrorOptions & { reasonCode?: string; retryAfterS?: number; headers?: Readonly<Record<string, string>> },
  ) {
    super(message ?? ERRORS[code].title, options)
    this.code = code
    this.reasonCode = options?.reasonCode
    this.retryAfterS = options?.retryAfterS ?? (ERRORS[code] as ErrorKind).retryAfterS
    this.headers = options?.headers
  }

  get kind(): ErrorKind {
    return ERRORS[this.code]
  }
}

/** Any thrown value as an AppError; what is not one already becomes `fallback`, with the original as its cause. */
export function toAppError(cause: unknown, fallback: ErrorCode): AppError {
  return cause instanceof AppError ? cause : new AppError(fallback, undefined, { cause })
}
