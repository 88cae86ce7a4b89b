// Refusals before a decision: strangers, malformed requests and blocked identities. Counted, and recorded within separate
// budgets: one for strangers, of whom there can be any number, and one for verified peers.
import type { Reason } from '../../core/decision.ts'
import { isIdentityError, type AppError } from '../../core/errors.ts'
import { traceFields } from '../../core/trace-context.ts'
import type { Logger } from '../../platform/logger.ts'
import { blockedRequest } from '../../audit/blocked-event.ts'
import { identityRefused, requestRefused } from '../../audit/event.ts'
import { IDENTITY_BLOCKED } from '../../policy/brake.ts'
import type { RefusalBudget } from '../audit/refusal-budget.ts'
import { CERTIFICATE_BLOCKED } from '../identity/blocked-certificates.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Refused } from '../call.ts'

type RefusalDeps = {
  readonly strangers: RefusalBudget
  readonly peers: RefusalBudget
  readonly policyRevision: () => string
  readonly metrics: Metrics
  readonly log: Logger
  readonly now: () => number
}

/** Records a refusal that no step of the pipeline has recorded. Never rejects: the peer is refused in any case. */
export function createRefusalRecorder(deps: RefusalDeps) {
  const { strangers, peers, metrics, log, now } = deps
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
    } else if (refused.request !== undefined && isBlock(error.reasonCode))
      recordBlocked(deps, refused, { ...refused.request, reason: { code: error.reasonCode, message: reason } })
    else {
      const requester = refused.requester ?? null
      if (!peers.record(requestRefused({ ...ids, requester, error: code, reason }))) return
      log.info({ event: 'request_refused', ...fields, requester, reason }, 'request refused')
    }
  }
}

function isBlock(reasonCode: string | undefined): reasonCode is string {
  return reasonCode === IDENTITY_BLOCKED || reasonCode === CERTIFICATE_BLOCKED
}

/** Reported like a denial by the policy, in audit, metrics, span and log, but without a capability. */
function recordBlocked(
  { peers, policyRevision, metrics, log, now }: RefusalDeps,
  { decisionId, trace, requester: caller }: Refused,
  { span, route, idempotencyKeyPresent, reason }: NonNullable<Refused['request']> & { readonly reason: Reason },
): void {
  const requester = caller ?? null
  metrics.decided({ capability: null, decision: 'deny', seconds: undefined, trace })
  span.setAttributes({
    'crank.requester': caller,
    'policy.decision': 'deny',
    'policy.mode': 'enforce',
    'policy.reason': reason.code,
  })
  const event = blockedRequest({
    atMs: now(),
    decisionId,
    trace,
    requester,
    reason,
    policyRevision: policyRevision(),
    route,
    idempotencyKeyPresent,
  })
  if (!peers.record(event)) return
  const fields = { requester, capability: null, reason: reason.message, ...traceFields(trace), decision_id: decisionId }
  log.warn({ event: 'capability_access_denied', ...fields }, 'capability access denied')
}
