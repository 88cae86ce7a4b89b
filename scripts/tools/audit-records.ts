// Creates audit records without a controller, with the controller's serialiser and chain: for the recorded sample, the
// benchmark and the tests of log readers.
import {
  policyDecision,
  routeOutcome,
  workerRegistration,
  type AuditEvent,
  type Evaluation,
  type Judgement,
} from '../../src/audit/event.ts'
import { GENESIS, sealRecord, type Head } from '../../src/audit/chain.ts'
import { serialiseEvent } from '../../src/audit/serialise.ts'
import { parseCapability, splitCapability } from '../../src/core/capability.ts'
import type { PolicyInput, RegistrationInput } from '../../src/core/decision.ts'
import { parseSpiffeId, trustDomainOf } from '../../src/core/spiffe-id.ts'

export type Asking = { readonly who: string; readonly atNs: bigint; readonly decisionId: string }

const NS_PER_MS = 1_000_000n
const EVALUATION: Evaluation = {
  trace: { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true },
  engine: 'opa-wasm',
  policyRevision: '0123456789ab',
  evaluationTimeMs: 0.1,
  onBehalfOf: null,
}

/** The policy input for one call of `capability`. */
export function callInput({ who, atNs, decisionId }: Asking, capability: string): PolicyInput {
  const { verb, name } = splitCapability(parseCapability(capability))
  const spiffeId = parseSpiffeId(who)
  return {
    identity: { spiffe_id: spiffeId, trust_domain: trustDomainOf(spiffeId) },
    action: { verb, capability: name },
    context: {
      timestamp: new Date(Number(atNs / NS_PER_MS)).toISOString(),
      now_ns: String(atNs),
      source: 'controller',
      decision_id: decisionId,
      priority: 'normal',
      origin: spiffeId,
      depth: 0,
    },
  }
}

/** The question about one registration. */
export function registrationInput(
  asking: Asking,
  workerId: string,
  capabilities: readonly string[],
): RegistrationInput {
  const resource = { worker_id: workerId, worker_url: 'https://127.0.0.1:9100', capabilities }
  return { ...callInput(asking, 'register:worker'), resource }
}

export function callRecord(input: PolicyInput, verdict: Judgement, about: Partial<Evaluation> = {}): AuditEvent {
  const asked = { ...EVALUATION, ...about, input, route: '/route', idempotencyKeyPresent: false }
  return policyDecision(asked, verdict)
}

export function registrationRecord(
  input: RegistrationInput,
  verdict: Judgement,
  about: Partial<Evaluation> = {},
): AuditEvent {
  return workerRegistration({ ...EVALUATION, ...about, input }, verdict)
}

/** The outcome of an allowed call, 4 ms after its decision. */
export function outcomeRecord({ identity, action, context }: PolicyInput): AuditEvent {
  const capability = `${action.verb}:${action.capability}`
  const call = { decisionId: context.decision_id, trace: EVALUATION.trace, requester: identity.spiffe_id, capability }
  const atMs = Date.parse(context.timestamp) + 4
  const end = { atMs, workerId: 'worker-x', status: 200, durationMs: 4.2, attempts: 1, error: null }
  return routeOutcome(call, { ...end, outcome: 'completed' })
}

/** The lines of a log that continues from `head`. */
export function chainLines(events: Iterable<AuditEvent>, head: Head = GENESIS): { lines: string; head: Head } {
  let lines = ''
  for (const event of events) {
    const sealed = sealRecord(head, serialiseEvent(event))
    lines += sealed.line
    head = sealed.head
  }
  return { lines, head }
}
