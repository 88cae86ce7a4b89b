// The refusal of a call over a limit of limits.json: 429 with the header fields of draft-ietf-httpapi-ratelimit-headers-10.
import { AppError } from '../../core/errors.ts'

/** Which member of a limit was reached. */
const LIMITED_REASONS = ['rate', 'concurrent', 'body'] as const
export type LimitedReason = (typeof LIMITED_REASONS)[number]
/** What the limit applies to. */
export type LimitScope = 'identity' | 'identity_capability' | 'capability'

const OF: Readonly<Record<LimitScope, string>> = {
  identity: 'of this identity',
  identity_capability: 'of this identity for this capability',
  capability: 'for this capability, of all callers together',
}
/** Nobody knows when a call in flight will end. */
const UNKNOWN_S = 1

/** More calls per second than allowed; the next is allowed in `waitMs`. */
export function overRate(scope: LimitScope, limit: { rate: number; burst: number }, waitMs: number): AppError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000))
  const windowS = Math.max(1, Math.ceil(limit.burst / limit.rate))
  const message = `over the rate ${OF[scope]}: ${limit.rate} calls per second, ${limit.burst} at once; wait ${seconds} s`
  return refusal('rate', scope, { message, seconds, policy: `q=${limit.burst};w=${windowS}` })
}

/** More calls in flight than allowed. */
export function overConcurrent(scope: LimitScope, concurrent: number): AppError {
  const message = `too many calls in flight ${OF[scope]}: the limit is ${concurrent}; wait until one has ended`
  return refusal('concurrent', scope, {
    message,
    seconds: UNKNOWN_S,
    policy: `q=${concurrent};qu="concurrent-requests"`,
  })
}

/** More body bytes in flight than allowed. A body that is larger than the limit itself can never pass: no Retry-After. */
export function overBytes(scope: LimitScope, bodyBytes: number, bytes: number): AppError {
  if (bytes > bodyBytes) {
    return new AppError('payload_too_large', `the body has ${bytes} bytes; the limit ${OF[scope]} is ${bodyBytes}`)
  }
  const message = `too many body bytes in flight ${OF[scope]}: the limit is ${bodyBytes}; wait until a call has ended`
  return refusal('body', scope, { message, seconds: UNKNOWN_S, policy: `q=${bodyBytes};qu="content-bytes"` })
}

/** Why a call was refused, if it was by a limit. */
export function limitedReason({ code, reasonCode }: AppError): LimitedReason | undefined {
  return code === 'rate_limited' ? LIMITED_REASONS.find((reason) => reasonCode === `limit_${reason}`) : undefined
}

type Told = { readonly message: string; readonly seconds: number; readonly policy: string }

function refusal(reason: LimitedReason, scope: LimitScope, { message, seconds, policy }: Told): AppError {
  const name = `"${scope}_${reason}"`
  return new AppError('rate_limited', message, {
    reasonCode: `limit_${reason}`,
    retryAfterS: seconds,
    headers: { 'ratelimit-policy': `${name};${policy}`, ratelimit: `${name};r=0;t=${seconds}` },
  })
}
