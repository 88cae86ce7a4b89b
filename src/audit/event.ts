// On the path of every call. The events of the audit log, with the names that the file uses. All events of a kind have the
// same members in the same order (null, never absent), so a denial and an allow differ only in their values.
import { isoTime } from '../core/iso-time.ts'
import type { Decision, Mode, PolicyInput, Priority, Reason, RegistrationInput } from '../core/decision.ts'
import type { ErrorCode, IdentityErrorCode } from '../core/errors.ts'
import type { SegmentReason } from '../core/segment-reason.ts'
import type { IdempotencyResult } from '../core/idempotency.ts'
import type { AttemptMade, Outcome } from '../core/outcome.ts'
import type { Decided, Ruling, Undecided } from '../core/ruling.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TraceContext } from '../core/trace-context.ts'
import type { BlockChange, BlockedEvent } from './blocked-event.ts'
import type { ProofEvent } from './proof-event.ts'

type Traced = { readonly decision_id: string; readonly trace_id: string; readonly span_id: string }

type Judged = {
  readonly decision: Ruling
  readonly mode: Mode
  readonly reasons: readonly Reason[]
  readonly grounds: readonly string[]
  readonly exception: string | null
  readonly policy_version: string | null
  readonly policy_revision: string
  readonly engine: string
  readonly evaluation_time_ms: number
  readonly error: ErrorCode | null
  /** A replay of the decision needs this, `timestamp`, `source` and `priority`, besides the identity and the capability. */
  readonly now_ns: string
  readonly source: string
  readonly priority: Priority
  /** Who made the first call of the chain, how many calls are above this one, and the decision id of the one directly above. */
  readonly origin: string
  readonly depth: number
  readonly on_behalf_of: string | null
}

export type PolicyDecisionEvent = { readonly event: 'policy_decision'; readonly timestamp: string } & Traced & {
    readonly requester_spiffe_id: string
    readonly capability: string
  } & Judged & {
    /** What the caller asked for, if limits.json lowered it. */
    readonly priority_requested: Priority | null
    readonly route: string
    readonly idempotency_key_present: boolean
    /** The decision id of the call, in a decision that is made again before a further attempt. */
    readonly retry_of: string | null
    /** The decision id of an earlier call, whose decision this one repeats: no engine was asked. */
    readonly repeats: string | null
  }

export type WorkerRegistrationEvent = { readonly event: 'worker_registration'; readonly timestamp: string } & Traced & {
    readonly requester_spiffe_id: string
    readonly worker_id: string
    readonly worker_url: string
    readonly capabilities: readonly string[]
  } & Judged

export type RouteOutcomeEvent = { readonly event: 'route_outcome'; readonly timestamp: string } & Traced & {
    readonly requester_spiffe_id: string
    readonly capability: string
    readonly worker_id: string | null
    readonly status: number | null
    readonly outcome: Outcome
    readonly error: ErrorCode | null
    readonly duration_ms: number
    readonly attempts: number
    /** Null for a single attempt: the record describes it. Otherwise the first four and the last. */
    readonly attempts_made: readonly AttemptMade[] | null
    /** Null without an idempotency key. */
    readonly idempotency: IdempotencyResult | null
    /** Only of a stored answer: the decision about the call that a worker executed. */
    readonly original_decision_id: string | null
  }

/** A peer without an identity. `count` > 1: a summary of that many in one second, without ids and address (refusal-budget). */
export type IdentityRefusedEvent = {
  readonly event: 'identity_refused'
  readonly timestamp: string
  readonly decision_id: string | null
  readonly trace_id: string | null
  readonly error: IdentityErrorCode
  readonly remote_address: string | null
  readonly count: number
}

/** A known peer whose request was refused before a decision, by a limit or the schema. `count` as in IdentityRefusedEvent. */
export type RequestRefusedEvent = {
  readonly event: 'request_refused'
  readonly timestamp: string
  readonly decision_id: string | null
  readonly trace_id: string | null
  readonly requester_spiffe_id: string | null
  readonly error: ErrorCode
  readonly reason: string | null
  readonly count: number
}

/**
 * Why a TLS handshake failed. `certificate`: the peer's cannot be read or used. `alert`: the peer refused ours, or gave up.
 * `protocol`: no common version, cipher or ALPN, or a broken handshake. `not_tls`: not TLS at all. `timeout`: too slow.
 */
export type HandshakeFailure = (typeof HANDSHAKE_FAILURES)[number]
export const HANDSHAKE_FAILURES = ['certificate', 'alert', 'protocol', 'not_tls', 'timeout'] as const

/** A peer that failed in the TLS handshake, before there was a request. `count` as in IdentityRefusedEvent. */
export type HandshakeRefusedEvent = {
  readonly event: 'handshake_refused'
  readonly timestamp: string
  readonly decision_id: null
  readonly trace_id: null
  readonly error: HandshakeFailure
  readonly remote_address: string | null
  readonly count: number
}

/** Events about the controller and its audit log. */
export type LifeEvent = { readonly timestamp: string } & (
  | {
      readonly event: 'policy_changed'
      readonly engine: string
      /** Null if the sidecar's policy had no known revision before. */
      readonly old_revision: string | null
      readonly new_revision: string
      /** `blocked`: only the controller's own block list changed, read from blocked.json alone; the revisions are the same. */
      readonly scope: 'policy' | 'blocked'
      /** For files, and for each kind of entry: how many were added, removed and changed, and some of their names. */
      readonly changed: Readonly<Record<string, unknown>>
    }
  | {
      readonly event: 'worker_evicted'
      readonly requester_spiffe_id: string
      readonly worker_id: string
      readonly reasons: readonly Reason[]
      readonly policy_revision: string
    }
  /** An operator keeps new calls from a worker, or no longer. `workers`: the instances that this concerned at that moment. */
  | {
      readonly event: 'worker_drain_changed'
      readonly worker_id: string
      readonly draining: boolean
      readonly workers: readonly string[]
      readonly requested_by: 'admin_listener'
      readonly reason: string | null
    }
  | {
      readonly event: 'controller_started'
      readonly version: string
      readonly engine: string
      readonly policy_revision: string
    }
  | { readonly event: 'controller_stopped'; readonly reason: string }
  | { readonly event: 'audit_repaired'; readonly bytes_removed: number }
  | { readonly event: 'audit_recovered'; readonly reason: string; readonly since: string; readonly refused: number }
  /** The first record of a segment that continues another one. */
  | {
      readonly event: 'audit_segment_opened'
      readonly reason: SegmentReason
      readonly previous_seq: number
      readonly previous_hash: string
    }
  /** The wall clock was set: use `seq`, not `timestamp`, for the order of records around this one. */
  | { readonly event: 'clock_stepped'; readonly step_ms: number }
  | BlockChange
)

export type RefusalEvent = IdentityRefusedEvent | HandshakeRefusedEvent | RequestRefusedEvent | BlockedEvent
export type AuditEvent =
  PolicyDecisionEvent | RouteOutcomeEvent | WorkerRegistrationEvent | RefusalEvent | LifeEvent | ProofEvent

/** The policy's decision, or why there was none. A `Decision` is a judgement too; shadow mode turns `deny` into `would_deny`. */
export type Judgement =
  | (Omit<Decision, 'decision'> & { readonly decision: Decided })
  | { readonly decision: Undecided; readonly mode: Mode; readonly error: ErrorCode }

/** The circumstances of one evaluation. */
export type Evaluation = {
  readonly trace: TraceContext
  readonly engine: string
  readonly policyRevision: string
  readonly evaluationTimeMs: number
  /** The decision id of the call on behalf of which this one is made. */
  readonly onBehalfOf: string | null
}

/** The record of a decision about a call. `route`: the route's template, such as `/route/{verb}/{capability}`. */
export function policyDecision(
  asked: Evaluation & {
    readonly input: PolicyInput
    readonly route: string
    readonly idempotencyKeyPresent: boolean
    /** Undefined: the priority of the input. */
    readonly requestedPriority?: Priority | undefined
    readonly retryOf?: string | undefined
  },
  verdict: Judgement,
): PolicyDecisionEvent {
  const { identity, action, context } = asked.input
  return {
    event: 'policy_decision',
    timestamp: context.timestamp,
    ...traced(context.decision_id, asked.trace),
    requester_spiffe_id: identity.spiffe_id,
    capability: `${action.verb}:${action.capability}`,
    ...judged(asked, asked.input, verdict),
    priority_requested: asked.requestedPriority ?? null,
    route: asked.route,
    idempotency_key_present: asked.idempotencyKeyPresent,
    retry_of: asked.retryOf ?? null,
    repeats: 'repeats' in verdict ? (verdict.repeats ?? null) : null,
  }
}

/** The record of a decision about the capabilities that a worker registers. */
export function workerRegistration(
  asked: Evaluation & { readonly input: RegistrationInput },
  verdict: Judgement,
): WorkerRegistrationEvent {
  const { identity, context, resource } = asked.input
  return {
    event: 'worker_registration',
    timestamp: context.timestamp,
    ...traced(context.decision_id, asked.trace),
    requester_spiffe_id: identity.spiffe_id,
    worker_id: resource.worker_id,
    worker_url: resource.worker_url,
    capabilities: resource.capabilities,
    ...judged(asked, asked.input, verdict),
  }
}

/** The record of how an allowed call ended. `status`: the caller's answer, null if the caller left or was cut off before it. */
export function routeOutcome(
  call: {
    readonly decisionId: string
    readonly trace: TraceContext
    readonly requester: SpiffeId
    readonly capability: string
  },
  end: {
    readonly atMs: number
    readonly workerId: string | null
    readonly status: number | null
    readonly outcome: Outcome
    readonly error: ErrorCode | null
    readonly durationMs: number
    readonly attempts: number
    readonly attemptsMade?: readonly AttemptMade[] | undefined
    readonly idempotency?: IdempotencyResult
    readonly originalDecisionId?: string
  },
): RouteOutcomeEvent {
  return {
    event: 'route_outcome',
    timestamp: isoTime(end.atMs),
    ...traced(call.decisionId, call.trace),
    requester_spiffe_id: call.requester,
    capability: call.capability,
    worker_id: end.workerId,
    status: end.status,
    outcome: end.outcome,
    error: end.error,
    duration_ms: microseconds(end.durationMs),
    attempts: end.attempts,
    attempts_made: end.attemptsMade ?? null,
    idempotency: end.idempotency ?? null,
    original_decision_id: end.originalDecisionId ?? null,
  }
}

/** The record of a peer that presented no acceptable identity. */
export function identityRefused(refusal: {
  readonly atMs: number
  readonly decisionId: string
  readonly traceId: string
  readonly error: IdentityErrorCode
  readonly remoteAddress: string | null
}): IdentityRefusedEvent {
  return {
    event: 'identity_refused',
    timestamp: isoTime(refusal.atMs),
    decision_id: refusal.decisionId,
    trace_id: refusal.traceId,
    error: refusal.error,
    remote_address: refusal.remoteAddress,
    count: 1,
  }
}

/** The record of a peer that failed in the TLS handshake. */
export function handshakeRefused(refusal: {
  readonly atMs: number
  readonly kind: HandshakeFailure
  readonly remoteAddress: string | null
}): HandshakeRefusedEvent {
  return {
    event: 'handshake_refused',
    timestamp: isoTime(refusal.atMs),
    decision_id: null,
    trace_id: null,
    error: refusal.kind,
    remote_address: refusal.remoteAddress,
    count: 1,
  }
}

/** The record of a known peer's request that was refused before a decision. */
export function requestRefused(refusal: {
  readonly atMs: number
  readonly decisionId: string
  readonly traceId: string
  readonly requester: SpiffeId | null
  readonly error: ErrorCode
  readonly reason: string
}): RequestRefusedEvent {
  return {
    event: 'request_refused',
    timestamp: isoTime(refusal.atMs),
    decision_id: refusal.decisionId,
    trace_id: refusal.traceId,
    requester_spiffe_id: refusal.requester,
    error: refusal.error,
    reason: refusal.reason,
    count: 1,
  }
}

function traced(decisionId: string, trace: TraceContext): Traced {
  return { decision_id: decisionId, trace_id: trace.traceId, span_id: trace.spanId }
}

function judged(asked: Evaluation, { context }: PolicyInput, verdict: Judgement): Judged {
  const said = 'error' in verdict ? undefined : verdict
  return {
    decision: verdict.decision,
    mode: verdict.mode,
    reasons: said?.reasons ?? [],
    grounds: said?.grounds ?? [],
    exception: said?.exception ?? null,
    policy_version: said?.policyVersion ?? null,
    policy_revision: asked.policyRevision,
    engine: asked.engine,
    evaluation_time_ms: microseconds(asked.evaluationTimeMs),
    error: 'error' in verdict ? verdict.error : null,
    now_ns: context.now_ns,
    source: context.source,
    priority: context.priority,
    origin: context.origin,
    depth: context.depth,
    on_behalf_of: asked.onBehalfOf,
  }
}

function microseconds(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000
}
