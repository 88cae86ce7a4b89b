// Refusals before a decision: strangers and malformed requests. Counted, and recorded within budgets of their own: one for
// strangers, who cost nothing to make, and one for verified peers.
import { isIdentityError, type AppError } from '../../core/errors.ts'
import { traceFields } from '../../core/trace-context.ts'
import type { Logger } from '../../platform/logger.ts'
import { identityRefused, requestRefused } from '../audit/event.ts'
import type { RefusalBudget } from '../audit/refusal-budget.ts'
import type { Metrics } from '../metrics.ts'
import type { Refused } from '../unparsed.ts'

export type RefusalDeps = {
  readonly strangers: RefusalBudget
  readonly peers: RefusalBudget
  readonly metrics: Metrics
  readonly log: Logger
  readonly now: () => number
}

/** Records a refusal that no step of the pipeline has recorded. Never rejects: the peer is refused whatever comes of it. */
export function createRefusalRecorder({ strangers, peers, metrics, log, now }: RefusalDeps) {
  return (refused: Refused, error: AppError): void => {
    const { code, message: reason } = error
    const { decisionId, trace } = refused
    const ids = { atMs: now(), decisionId, traceId: trace.traceId }
    const fields = { error: code, ...traceFields(trace), decision_id: decisionId }
    if (code === 'internal_error') {
      log.error({ event: 'internal_error', ...fields, err: error.cause ?? error }, 'internal error')
    }
    if (isIdentityError(code)) {
      metrics.identityRefused(code)
      const remoteAddress = refused.remoteAddress ?? null
      if (!strangers.record(identityRefused({ ...ids, error: code, remoteAddress }))) return
      log.warn({ event: 'identity_refused', ...fields, remote_address: remoteAddress }, 'identity refused')
    } else {
      const requester = refused.requester ?? null
      if (!peers.record(requestRefused({ ...ids, requester, error: code, reason }))) return
      log.info({ event: 'request_refused', ...fields, requester, reason }, 'request refused')
    }
  }
}
