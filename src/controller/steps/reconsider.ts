// After a change of policy, evicts workers that may no longer provide what they registered. Asks the policy again about each
// registration; only a denial evicts a worker, an error does not.
import { isoTime } from '../../core/iso-time.ts'
import type { Decide, RegistrationInput } from '../../core/decision.ts'
import { uuidv7 } from '../../core/ids.ts'
import type { Logger } from '../../platform/logger.ts'
import type { AuditEvent } from '../../audit/event.ts'
import { holderOf, type Registry, type WorkerInstance } from '../routing/registry.ts'
import type { Share } from '../routing/roll.ts'
import { policyInput } from '../../policy/judge.ts'

type ReconsiderDeps = {
  readonly decide: Decide
  readonly revision: () => string
  readonly registry: Pick<Registry, 'list'>
  readonly share: Share
  readonly append: (event: AuditEvent) => Promise<void>
  readonly log: Logger
  readonly now: () => number
}

/** `capability_blocked` is not listed: such calls are refused one by one, and the worker's other capabilities stay available. */
const EVICTING = new Set([
  'identity_blocked',
  'worker_unknown',
  'worker_id_mismatch',
  'provided_capabilities_missing',
  'capability_not_provided',
])
const AT_ONCE = 50

/** Checks every registered worker; a call during a check starts another one after it. Never rejects. */
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
    // Lets calls run between batches, since there may be thousands of workers.
    await new Promise(setImmediate)
  }
}

async function reconsider(deps: ReconsiderDeps, instance: WorkerInstance): Promise<void> {
  const { decide, share, revision, append, log, now } = deps
  const answer = await decide('worker_registration', registrationOf(instance, now())).catch(() => undefined)
  const reasons = (answer?.reasons ?? []).filter(({ code }) => EVICTING.has(code))
  const { workerId, spiffeId } = instance
  const evict = (): Promise<boolean> =>
    share({ kind: 'dismissed', holder: holderOf(instance) }).catch((err: unknown) => {
      const fields = { event: 'worker_not_evicted', worker_id: workerId, spiffe_id: spiffeId, err }
      log.error(fields, 'a worker that the policy denies is still registered')
      return false
    })
  if (reasons.length === 0 || !(await evict())) return
  log.warn({ event: 'worker_evicted', worker_id: workerId, spiffe_id: spiffeId, reasons }, 'worker evicted')
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
