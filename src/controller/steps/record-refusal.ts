// Refusals before a decision: strangers and malformed requests. Counted, and recorded within a budget of their own.
import type { FastifyRequest } from 'fastify'
import { isIdentityError, type AppError } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import { identityRefused, requestRefused } from '../audit/event.ts'
import type { RefusalBudget } from '../audit/refusal-budget.ts'
import { peerOf } from '../identity/gate.ts'
import type { Metrics } from '../metrics.ts'

export type RefusalDeps = {
  readonly budget: RefusalBudget
  readonly metrics: Metrics
  readonly log: Logger
  readonly now: () => number
}

/** Records a refusal that no step of the pipeline has recorded. Never rejects: the peer is refused whatever comes of it. */
export function createRefusalRecorder({ budget, metrics, log, now }: RefusalDeps) {
  return (request: FastifyRequest, error: AppError): void => {
    const ids = { atMs: now(), decisionId: request.id, traceId: request.arrival.trace.traceId }
    if (error.code === 'internal_error') {
      log.error({ event: 'internal_error', decision_id: request.id, err: error.cause ?? error }, 'internal error')
    }
    if (isIdentityError(error.code)) {
      metrics.identityRefused(error.code)
      budget.record(identityRefused({ ...ids, error: error.code, remoteAddress: request.ip }))
      log.warn(
        { event: 'identity_refused', code: error.code, remote_address: request.ip, decision_id: request.id },
        'identity refused',
      )
    } else {
      const requester = peerOf(request)?.spiffeId ?? null
      budget.record(requestRefused({ ...ids, requester, error: error.code, reason: error.message }))
    }
  }
}
