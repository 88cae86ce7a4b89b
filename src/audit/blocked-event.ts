// The audit records about blocks. A request by an identity on the controller's own block list is refused before anything else in it
// is examined: a denial with the members of every `policy_decision`, but without a capability and without an engine.
import type { Reason } from '../core/decision.ts'
import { isoTime } from '../core/iso-time.ts'
import type { TraceContext } from '../core/trace-context.ts'

/** `count` > 1: a summary of that many requests in one second, without ids and requester (refusal-budget). */
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
  /** Not known: nothing of the request was examined. */
  readonly origin: null
  readonly depth: null
  readonly on_behalf_of: null
  readonly priority_requested: null
  readonly route: string
  readonly idempotency_key_present: boolean
  readonly count: number
}

/** An operator has changed the block list that all controllers of the mesh share. */
export type BlockChange = {
  readonly event: 'block_changed'
  /** One name: `+` blocked, `-` unblocked, `~` blocked by somebody else or for another reason. */
  readonly names: readonly string[]
  readonly requested_by: string
  /** By the operator's clock. */
  readonly requested_at: string
  readonly reason: string
  readonly policy_revision: string
}

/** The record of one such request. `route`: the template of its route, such as `/route/{verb}/{capability}`, or `unknown`. */
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
    origin: null,
    depth: null,
    on_behalf_of: null,
    priority_requested: null,
    route: refusal.route,
    idempotency_key_present: refusal.idempotencyKeyPresent,
    count: 1,
  }
}

/** The summary of the requests of one second. */
export function blockedRequests(first: BlockedEvent, timestamp: string, count: number): BlockedEvent {
  // The original sentence names one identity.
  const reasons = first.reasons.map(({ code }) => ({
    code,
    message: 'Workers not authorized: their identities or certificates are blocked',
  }))
  const nobody = { decision_id: null, trace_id: null, span_id: null, requester_spiffe_id: null }
  return { ...first, ...nobody, timestamp, now_ns: `${Date.parse(timestamp)}000000`, reasons, route: 'any', count }
}
