// Audit logs for tests of commands: decisions as the controller writes them, chained.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { GENESIS, sealRecord } from '../../src/audit/chain.ts'
import type { PolicyDecisionEvent } from '../../src/audit/event.ts'
import type { Ruling } from '../../src/core/ruling.ts'
import { serialiseEvent } from '../../src/audit/serialise.ts'

export type Made = {
  readonly who: string
  readonly capability: string
  readonly decision?: Ruling
  readonly daysAgo?: number
  readonly code?: string
  readonly exception?: string
  readonly times?: number
  /** Decision id, and trace id; otherwise by the place in the log. */
  readonly id?: string
  readonly trace?: string
}

const DAY_MS = 86_400_000

/** The SPIFFE ID of a worker by its short name. */
export const workerId = (name: string): string => `spiffe://crank.local/worker/${name}`

/** Writes a log of these decisions, in this order, and makes its folder. */
export async function writeAuditFile(file: string, made: readonly Made[]): Promise<void> {
  let head = GENESIS
  let text = ''
  for (const [n, one] of made.entries()) {
    for (let time = 0; time < (one.times ?? 1); time++) {
      const sealed = sealRecord(head, serialiseEvent(decisionEvent(one, one.id ?? `d-${n}-${time}`)))
      head = sealed.head
      text += sealed.line
    }
  }
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

function decisionEvent({ who, capability, decision = 'allow', ...of }: Made, id: string): PolicyDecisionEvent {
  const isDenial = decision === 'deny' || decision === 'would_deny'
  const isAllowed = decision === 'allow'
  const ground = of.exception === undefined ? 'declared' : 'exception'
  return {
    event: 'policy_decision',
    timestamp: new Date(Date.now() - (of.daysAgo ?? 0) * DAY_MS).toISOString(),
    decision_id: id,
    trace_id: of.trace ?? `t-${id}`,
    span_id: 's',
    requester_spiffe_id: workerId(who),
    capability,
    decision,
    mode: 'shadow',
    reasons: isDenial ? [{ code: of.code ?? 'capability_not_declared', message: 'not authorized' }] : [],
    grounds: isAllowed ? [ground] : [],
    exception: of.exception ?? null,
    policy_version: '1.0.0',
    policy_revision: 'abc',
    engine: 'opa-wasm',
    evaluation_time_ms: 0.1,
    error: decision === 'error' || decision === 'unevaluated' ? 'policy_engine_unavailable' : null,
    now_ns: '0',
    source: 'controller',
    priority: 'normal',
    origin: workerId(who),
    depth: 0,
    on_behalf_of: null,
    priority_requested: null,
    route: '/route',
    idempotency_key_present: false,
    retry_of: null,
    repeats: null,
  }
}
