// One event of every kind, and the forms that an event has: what a policy says, how a call ends, summaries.
import { openRecord, GENESIS, sealRecord, type ChainedRecord } from '../../../src/audit/chain.ts'
import { blockedRequest, blockedRequests } from '../../../src/audit/blocked-event.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import type { Exported } from '../../../src/audit/export/exported.ts'
import { serialiseEvent } from '../../../src/audit/serialise.ts'
import { OUTCOMES } from '../../../src/core/outcome.ts'
import { AUDIT_EVENTS } from '../../observability/audit-events.ts'

const {
  policy_decision: decided,
  route_outcome: ended,
  identity_refused: refused,
  policy_changed: changed,
} = AUDIT_EVENTS
const blocked = blockedRequest({
  atMs: Date.UTC(2026, 10, 24),
  decisionId: 'd-1',
  trace: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true },
  requester: 'spiffe://crank.local/worker/blocked',
  reason: { code: 'identity_blocked', message: 'Worker spiffe://crank.local/worker/blocked not authorized' },
  policyRevision: 'r1',
  route: '/route',
  idempotencyKeyPresent: false,
})
const RULINGS = ['allow', 'deny', 'would_deny', 'error', 'unevaluated'] as const
const NAMES = ['+spiffe://crank.local/worker/new', '-stream:text_events', '~0a1b2c']

const FORMS: readonly object[] = [
  ...Object.values(AUDIT_EVENTS),
  ...RULINGS.map((decision) => ({
    ...decided,
    decision,
    mode: 'shadow' as const,
    exception: 'spiffe://crank.local/worker/streaming',
  })),
  ...OUTCOMES.map((outcome) => ({ ...ended, outcome, status: outcome === 'completed' ? 200 : null, error: null })),
  {
    ...ended,
    worker_id: null,
    attempts_made: [
      {
        worker_id: 'worker-a',
        decision_id: 'd',
        reason: 'busy',
        outcome: 'refused',
        error: null,
        sent: true,
        duration_ms: 1,
      },
    ],
  },
  { ...refused, decision_id: null, trace_id: null, remote_address: null, count: 7 },
  { ...AUDIT_EVENTS.handshake_refused, remote_address: '::1' },
  { ...AUDIT_EVENTS.worker_drain_changed, draining: false, reason: 'Ada is on leave' },
  { ...changed, changed: { workers: { added: 1, removed: 1, changed: 1, names: NAMES } } },
  blocked,
  blockedRequests(blocked, '2026-11-24T00:00:01.000Z', 12),
]

/** Every member has the type that the writer gives it; the compiler would ask for a cast at each variant. */
const EVERY_FORM = FORMS as readonly AuditEvent[]

/** As records of slot 3. */
export function exportedForms(
  events: readonly AuditEvent[] = EVERY_FORM,
): (Exported & { readonly record: ChainedRecord; readonly text: string })[] {
  let head = GENESIS
  return events.map((event) => {
    const sealed = sealRecord(head, serialiseEvent(event))
    head = sealed.head
    const text = sealed.line.trimEnd()
    return { slot: 3, text, record: openRecord(text) as ChainedRecord }
  })
}
