// On the path of every call. The two records that every call writes, laid out member by member: the same text as the general
// serialiser's, without a walk over their members. What our own code makes (times, ids, capabilities, codes) needs no escape.
import type { AuditEvent, PolicyDecisionEvent, RouteOutcomeEvent } from './event.ts'
import { json, serialiseEvent, text, whole } from './serialise.ts'

/** The members of any event, as `serialiseEvent` gives them. */
export function recordText(event: AuditEvent): string {
  // Refusals of a blocked identity are decisions too, of another form.
  if (event.event === 'policy_decision' && 'retry_of' in event) return decisionMembers(event)
  return event.event === 'route_outcome' ? outcomeMembers(event) : serialiseEvent(event)
}

function decisionMembers(it: PolicyDecisionEvent): string {
  return (
    `"event":"policy_decision","timestamp":"${it.timestamp}","decision_id":"${it.decision_id}"` +
    `,"trace_id":"${it.trace_id}","span_id":"${it.span_id}"` +
    `,"requester_spiffe_id":${whole(it.requester_spiffe_id)},"capability":"${it.capability}"` +
    `,"decision":"${it.decision}","mode":"${it.mode}","reasons":${list(it.reasons, 'reasons')}` +
    `,"grounds":${list(it.grounds, 'grounds')},"exception":${nullable(it.exception)}` +
    `,"policy_version":${nullable(it.policy_version)},"policy_revision":${text(it.policy_revision)}` +
    `,"engine":${text(it.engine)},"evaluation_time_ms":${json(it.evaluation_time_ms, '')},"error":${word(it.error)}` +
    `,"now_ns":"${it.now_ns}","source":"${it.source}","priority":"${it.priority}"` +
    `,"origin":${whole(it.origin)},"depth":${json(it.depth, '')},"on_behalf_of":${word(it.on_behalf_of)}` +
    `,"priority_requested":${word(it.priority_requested)},"route":"${it.route}"` +
    `,"idempotency_key_present":${it.idempotency_key_present},"retry_of":${word(it.retry_of)},"repeats":${word(it.repeats)}`
  )
}

function outcomeMembers(it: RouteOutcomeEvent): string {
  return (
    `"event":"route_outcome","timestamp":"${it.timestamp}","decision_id":"${it.decision_id}"` +
    `,"trace_id":"${it.trace_id}","span_id":"${it.span_id}"` +
    `,"requester_spiffe_id":${whole(it.requester_spiffe_id)},"capability":"${it.capability}"` +
    `,"worker_id":${nullable(it.worker_id)},"status":${it.status},"outcome":"${it.outcome}"` +
    `,"error":${word(it.error)},"duration_ms":${json(it.duration_ms, '')},"attempts":${it.attempts}` +
    `,"attempts_made":${it.attempts_made === null ? 'null' : json(it.attempts_made, 'attempts_made')}` +
    `,"idempotency":${word(it.idempotency)},"original_decision_id":${word(it.original_decision_id)}`
  )
}

/** An id or a word of our own. */
function word(value: string | null): string {
  return value === null ? 'null' : `"${value}"`
}

function nullable(value: string | null): string {
  return value === null ? 'null' : text(value)
}

function list(values: readonly unknown[], key: string): string {
  return values.length === 0 ? '[]' : json(values, key)
}
