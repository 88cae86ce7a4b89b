// Whether a call that failed at one worker may go to another one: only where that cannot do the work twice, unless the capability
// says that this is safe. Nothing here is reached by a call that succeeds.
import type { AttemptReason } from '../../core/outcome.ts'
import type { RouteCall } from '../call.ts'
import type { ExchangeResult } from '../dispatch/worker-exchange.ts'
import type { Offer } from '../routing/offer.ts'

/** What one attempt was, and how it ended. `body`: what it sent. */
export type Tried = {
  readonly call: RouteCall
  readonly offer: Offer
  readonly result: ExchangeResult
  readonly body: RouteCall['body']
}

/** Why the call may be sent again and what to send; undefined: it may not. Says nothing about limits. */
export function mayRepeat(
  tried: Tried,
): { readonly reason: AttemptReason; readonly body: RouteCall['body'] } | undefined {
  const { result, body } = tried
  // Without an error the caller has an answer, or its beginning.
  if (result.error === undefined) return undefined
  if (!result.sent) return result.outcome === 'worker_failed' ? { reason: 'unreached', body } : undefined
  const reason = reasonAfterSending(tried)
  const whole = Buffer.isBuffer(body) ? body : body.whole()
  return reason === undefined || whole === undefined ? undefined : { reason, body: whole }
}

function reasonAfterSending({ call, offer, result }: Tried): AttemptReason | undefined {
  if (result.error?.code === 'worker_busy') return 'busy'
  const isWorkers = result.outcome === 'worker_failed' || result.outcome === 'unknown'
  if (isWorkers && result.effect === 'none') return 'not_begun'
  // A call with a key is here only while it holds the key. Without a fault, the error is one that the capability declares.
  const isHeld = call.idempotencyKey !== undefined
  const isSafe = isHeld && offer.worker.capabilities.get(offer.capability)?.retry_safe === true
  return isWorkers && isSafe && result.fault !== undefined ? 'retry_safe' : undefined
}
