// After a change of policy: whoever may no longer offer what it registered is routed to no longer. The policy itself is
// asked, with what the worker registered; only an answer that denies counts, trouble takes nobody out.
import { isoTime } from '../../core/iso-time.ts'
import type { Decide, RegistrationInput } from '../../core/decision.ts'
import { uuidv7 } from '../../core/ids.ts'
import type { Logger } from '../../platform/logger.ts'
import type { AuditEvent } from '../../audit/event.ts'
import type { Registry, WorkerInstance } from '../routing/registry.ts'
import { policyInput } from '../../policy/judge.ts'

type ReconsiderDeps = {
  readonly decide: Decide
  readonly revision: () => string
  readonly registry: Registry
  readonly append: (event: AuditEvent) => Promise<void>
  readonly log: Logger
  readonly now: () => number
}

/** A blocked capability is not among them: it is refused call by call, and the worker's others go on. */
const EVICTING = new Set([
  'identity_blocked',
  'worker_unknown',
  'worker_id_mismatch',
  'provided_capabilities_missing',
  'capability_not_provided',
])
const AT_ONCE = 50

/** Looks at every registered worker; a call while one is under way begins another one after it. Never rejects. */
export function createReconsider(deps: ReconsiderDeps): () => Promise<void> {
  let running: Promise<void> = Promise.resolve()
  return () => {
    running = running.then(() => reconsiderAll(deps))
    return running
  }
}

async function reconsiderAll(deps: ReconsiderDeps): Promise<void> {
  const instances = deps.registry.list()
  for (let at = 0; at < instances.length; at += AT_ONCE) {
    await Promise.all(instances.slice(at, at + AT_ONCE).map((instance) => reconsider(deps, instance)))
    // Calls go first: thousands of workers are looked at in between.
    await new Promise(setImmediate)
  }
}

async function reconsider(deps: ReconsiderDeps, instance: WorkerInstance): Promise<void> {
  const { decide, registry, revision, append, log, now } = deps
  const answer = await decide('worker_registration', registrationOf(instance, now())).catch(() => undefined)
  const reasons = (answer?.reasons ?? []).filter(({ code }) => EVICTING.has(code))
  if (reasons.length === 0 || !registry.evict(instance)) return
  const { workerId, spiffeId } = instance
  log.warn({ event: 'worker_evicted', worker_id: workerId, spiffe_id: spiffeId, reasons }, 'no longer routed to')
  const event = {
    event: 'worker_evicted' as const,
    timestamp: isoTime(now()),
    requester_spiffe_id: spiffeId,
    worker_id: workerId,
    reasons,
    policy_revision: answer?.revision ?? revision(),
  }
  await append(event).catch((err: unknown) => {
    log.error({ event: 'audit_eviction_lost', worker_id: workerId, err }, 'eviction not recorded')
  })
}

function registrationOf(
  { spiffeId, workerId, origin, capabilities }: WorkerInstance,
  nowMs: number,
): RegistrationInput {
  const asked = { caller: spiffeId, decisionId: uuidv7(nowMs) }
  const input = policyInput(asked, { verb: 'register', name: 'worker', priority: 'normal' }, nowMs)
  return { ...input, resource: { worker_id: workerId, worker_url: origin, capabilities: [...capabilities.keys()] } }
}
