// What the audit log records of a request by an identity on the controller's own block list, refused before anything else
// of it was looked at: a denial with the members of every `policy_decision`, about no capability and by no engine.
import type { Reason } from '../core/decision.ts'
import { isoTime } from '../core/iso-time.ts'
import type { TraceContext } from '../core/trace-context.ts'

/** `count` > 1: that many in one second, the ids and the requester left out (refusal-budget). */
export type BlockedEvent = {
  readonly event: 'policy_decision'
  readonly timestamp: string
  readonly decision_id: string | null
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly requester_spiffe_id: string | null
  readonly capability: null
  readonly decision: 'deny'
  readonly mode: 'enforce'
  readonly reasons: readonly Reason[]
  readonly grounds: readonly []
  readonly exception: null
  readonly policy_version: null
  readonly policy_revision: string
  readonly engine: 'controller'
  readonly evaluation_time_ms: 0
  readonly error: null
  readonly now_ns: string
  readonly source: 'controller'
  readonly priority: 'normal'
  readonly route: string
  readonly idempotency_key_present: boolean
  readonly count: number
}

/** The record of one such request. `route`: its template, such as `/route/{verb}/{capability}`; `unknown` if it has none. */
export function blockedRequest(refusal: {
  readonly atMs: number
  readonly decisionId: string
  readonly trace: TraceContext
  readonly requester: string | null
  readonly reason: Reason
  readonly policyRevision: string
  readonly route: string
  readonly idempotencyKeyPresent: boolean
}): BlockedEvent {
  const { atMs, trace } = refusal
  return {
    event: 'policy_decision',
    timestamp: isoTime(atMs),
    decision_id: refusal.decisionId,
    trace_id: trace.traceId,
    span_id: trace.spanId,
    requester_spiffe_id: refusal.requester,
    capability: null,
    decision: 'deny',
    mode: 'enforce',
    reasons: [refusal.reason],
    grounds: [],
    exception: null,
    policy_version: null,
    policy_revision: refusal.policyRevision,
    engine: 'controller',
    evaluation_time_ms: 0,
    error: null,
    now_ns: `${atMs}000000`,
    source: 'controller',
    priority: 'normal',
    route: refusal.route,
    idempotency_key_present: refusal.idempotencyKeyPresent,
    count: 1,
  }
}

/** What those of one second have in common. */
export function blockedRequests(first: BlockedEvent, timestamp: string, count: number): BlockedEvent {
  // The sentence names one of them.
  const reasons = first.reasons.map(({ code }) => ({
    code,
    message: 'Workers not authorized: their identities are blocked',
  }))
  const nobody = { decision_id: null, trace_id: null, span_id: null, requester_spiffe_id: null }
  return { ...first, ...nobody, timestamp, now_ns: `${Date.parse(timestamp)}000000`, reasons, route: 'any', count }
}
