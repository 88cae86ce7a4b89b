// One audit event of every kind, as the controller makes them: the names that a query can take from a line.
import {
  handshakeRefused,
  identityRefused,
  policyDecision,
  requestRefused,
  routeOutcome,
  workerRegistration,
  type AuditEvent,
} from '../../src/audit/event.ts'
import { isoTime } from '../../src/core/iso-time.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { policyInput, registrationInput } from '../fixtures/policy-input.ts'

const atMs = Date.UTC(2026, 10, 24)
const timestamp = isoTime(atMs)
const requester = parseSpiffeId('spiffe://crank.local/worker/streaming')
const trace = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true }
const evaluation = { trace, engine: 'opa-http', policyRevision: 'r1', evaluationTimeMs: 1, onBehalfOf: null }
const reasons = [{ code: 'capability_not_declared', message: 'Worker … not authorized' }]
const verdict = {
  decision: 'deny',
  mode: 'enforce',
  grounds: [],
  reasons,
  exception: null,
  policyVersion: '1',
} as const
const ids = { decisionId: '0193', traceId: trace.traceId, atMs }
const life = { timestamp, engine: 'opa-http', policy_revision: 'r1' } as const

export const AUDIT_EVENTS: { readonly [E in AuditEvent['event']]: AuditEvent & { event: E } } = {
  policy_decision: policyDecision(
    {
      ...evaluation,
      input: policyInput(requester, 'invoke:hello_world'),
      route: '/route',
      idempotencyKeyPresent: false,
    },
    verdict,
  ),
  worker_registration: workerRegistration(
    { ...evaluation, input: registrationInput(requester, 'worker-streaming', []) },
    verdict,
  ),
  route_outcome: routeOutcome(
    { decisionId: '0193', trace, requester, capability: 'invoke:hello_world' },
    { atMs, workerId: 'w', status: 200, outcome: 'completed', error: null, durationMs: 1, attempts: 1 },
  ),
  identity_refused: identityRefused({ ...ids, error: 'client_certificate_expired', remoteAddress: '127.0.0.1' }),
  handshake_refused: handshakeRefused({ atMs, kind: 'certificate', remoteAddress: '127.0.0.1' }),
  request_refused: requestRefused({ ...ids, requester, error: 'request_invalid', reason: 'no' }),
  worker_drain_changed: {
    event: 'worker_drain_changed',
    timestamp,
    worker_id: 'worker-streaming',
    draining: true,
    workers: ['worker-streaming.a'],
    requested_by: 'admin_listener',
    reason: null,
  },
  policy_changed: {
    event: 'policy_changed',
    timestamp,
    engine: 'opa-http',
    old_revision: 'r1',
    new_revision: 'r2',
    scope: 'policy',
    changed: {},
  },
  block_changed: {
    event: 'block_changed',
    timestamp,
    names: [`+${requester}`],
    requested_by: 'spiffe://crank.local/operator/ada',
    requested_at: timestamp,
    reason: 'INC-12',
    policy_revision: 'r1',
  },
  worker_evicted: {
    event: 'worker_evicted',
    timestamp,
    requester_spiffe_id: requester,
    worker_id: 'w',
    reasons,
    policy_revision: 'r1',
  },
  controller_started: { event: 'controller_started', ...life, version: '1' },
  controller_stopped: { event: 'controller_stopped', timestamp, reason: 'SIGTERM' },
  audit_repaired: { event: 'audit_repaired', timestamp, bytes_removed: 1 },
  audit_segment_opened: {
    event: 'audit_segment_opened',
    timestamp,
    reason: 'renamed',
    previous_seq: 1,
    previous_hash: '0'.repeat(64),
  },
  audit_segments_removed: {
    event: 'audit_segments_removed',
    timestamp,
    first_seq: 1,
    last_seq: 2,
    last_hash: '0'.repeat(64),
    reason: 'age',
  },
  audit_signing_key: {
    event: 'audit_signing_key',
    timestamp,
    key_name: 'crank.local/controller/audit',
    key_id: '00000000',
    public_key: 'AQ==',
  },
  clock_stepped: { event: 'clock_stepped', timestamp, step_ms: 3_600_000 },
  audit_recovered: { event: 'audit_recovered', timestamp, reason: 'disk', since: timestamp, refused: 1 },
}
