import { expect, test } from 'vitest'
import {
  policyDecision,
  requestRefused,
  routeOutcome,
  workerRegistration,
  type Judgement,
} from '../../src/audit/event.ts'
import type { Decision, PolicyInput } from '../../src/core/decision.ts'
import { parseSpiffeId, trustDomainOf } from '../../src/core/spiffe-id.ts'
import { outcome, refusal } from '../controller/audit/support.ts'

const id = parseSpiffeId('spiffe://crank.local/worker/streaming')
const input: PolicyInput = {
  identity: { spiffe_id: id, trust_domain: trustDomainOf(id) },
  action: { verb: 'stream', capability: 'text_events' },
  context: {
    timestamp: '2026-11-23T10:00:00.000Z',
    now_ns: '1795514400000000000',
    source: 'controller',
    decision_id: 'd-1',
    priority: 'normal',
    origin: id,
    depth: 0,
  },
}
const evaluation = {
  trace: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true },
  engine: 'opa-wasm',
  policyRevision: 'abc',
  evaluationTimeMs: 1.23456,
  onBehalfOf: null,
}
const asked = { ...evaluation, input, route: '/route', idempotencyKeyPresent: true }
const allow: Decision = {
  decision: 'allow',
  mode: 'enforce',
  exception: null,
  policyVersion: '1.0.0',
  grounds: ['declared'],
  reasons: [],
}
const reasons = [{ code: 'capability_not_declared', message: 'not authorized' }]
const deny: Decision = { ...allow, decision: 'deny', grounds: [], reasons }

test('a decision is recorded with the names of the file format', () => {
  expect(policyDecision(asked, allow)).toEqual({
    event: 'policy_decision',
    timestamp: '2026-11-23T10:00:00.000Z',
    decision_id: 'd-1',
    trace_id: 'a'.repeat(32),
    span_id: 'b'.repeat(16),
    requester_spiffe_id: id,
    capability: 'stream:text_events',
    decision: 'allow',
    mode: 'enforce',
    reasons: [],
    grounds: ['declared'],
    exception: null,
    policy_version: '1.0.0',
    policy_revision: 'abc',
    engine: 'opa-wasm',
    evaluation_time_ms: 1.235,
    error: null,
    now_ns: '1795514400000000000',
    source: 'controller',
    priority: 'normal',
    priority_requested: null,
    origin: id,
    depth: 0,
    on_behalf_of: null,
    route: '/route',
    idempotency_key_present: true,
    retry_of: null,
    repeats: null,
  })
})

test('every verdict is recorded with the same members', () => {
  const verdicts: Judgement[] = [
    deny,
    { ...deny, mode: 'shadow', decision: 'would_deny' },
    { decision: 'error', mode: 'enforce', error: 'policy_engine_unavailable' },
    { decision: 'unevaluated', mode: 'shadow', error: 'policy_engine_unavailable' },
  ]
  const names = Object.keys(policyDecision(asked, allow))
  for (const verdict of verdicts) {
    const event = policyDecision(asked, verdict)
    expect(Object.keys(event)).toEqual(names)
    expect(event.decision).toBe(verdict.decision)
  }
})

test('a denial carries its reasons', () => {
  expect(policyDecision(asked, deny)).toMatchObject({ decision: 'deny', reasons, grounds: [], error: null })
})

test('trouble with the policy engine carries its error code and no policy version', () => {
  const trouble = { decision: 'error', mode: 'enforce', error: 'policy_engine_error' } as const
  expect(policyDecision(asked, trouble)).toMatchObject({
    error: 'policy_engine_error',
    policy_version: null,
    reasons: [],
  })
})

test('a registration is recorded with what was offered', () => {
  const resource = { worker_id: 'worker-a', worker_url: 'https://127.0.0.1:9100', capabilities: ['stream:text_events'] }
  const event = workerRegistration({ ...evaluation, input: { ...input, resource } }, deny)
  expect(event).toMatchObject({ event: 'worker_registration', decision: 'deny', reasons, ...resource })
})

test('an outcome is recorded with its decision id, its worker and its duration', () => {
  expect(outcome('d-1')).toMatchObject({ event: 'route_outcome', decision_id: 'd-1', duration_ms: 1.235, status: 200 })
})

test('an outcome that never was sent has no worker', () => {
  const call = { decisionId: 'd-1', trace: evaluation.trace, requester: id, capability: 'a:b' }
  const end = { atMs: 0, workerId: null, status: 503, outcome: 'worker_failed', error: 'no_worker_available' } as const
  const event = routeOutcome(call, { ...end, durationMs: 0, attempts: 0 })
  expect(event).toMatchObject({ worker_id: null, outcome: 'worker_failed', error: 'no_worker_available', attempts: 0 })
})

test('a refused identity and a refused request are recorded with their code', () => {
  expect(refusal('d-1')).toMatchObject({ event: 'identity_refused', error: 'client_certificate_required', count: 1 })
  const request = { atMs: 0, decisionId: 'd-2', traceId: 't', requester: id, reason: 'verb is missing' }
  expect(requestRefused({ ...request, error: 'request_invalid' })).toMatchObject({
    event: 'request_refused',
    timestamp: '1970-01-01T00:00:00.000Z',
    requester_spiffe_id: id,
    error: 'request_invalid',
    reason: 'verb is missing',
  })
})
