// A registration: what is checked before a worker is routable is in check-worker.ts.
import type { RegisterBody, RegisterReply } from '../../core/wire.ts'
import { AppError } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import type { Asker, RegistrationVerdict } from '../../policy/verdict.ts'
import type { HealthProbe } from '../dispatch/probe.ts'
import { hashOfLease } from '../routing/lease.ts'
import { registeredAfter } from '../routing/registered-at.ts'
import type { Registration, Registry } from '../routing/registry.ts'
import type { Share } from '../routing/roll.ts'
import type { WorkerCheck } from './check-worker.ts'
import { afterRecord } from './recorded.ts'

type RegisterDeps = {
  readonly check: WorkerCheck
  readonly registry: Registry
  /** When the worker of this name registered last, as far as this process knows. */
  readonly previous: (worker: Pick<Registration, 'spiffeId' | 'workerId'>) => string | undefined
  /** Whether a registered worker answers now. */
  readonly isThere: HealthProbe
  readonly log: Pick<Logger, 'warn'>
  /** The worker learns its lease when this resolves. */
  readonly share: Share
  /** The largest registration; undefined: as large as a body may be. */
  readonly maxBytes?: number | undefined
  readonly newLease: () => string
  readonly now: () => number
  /** Called when the worker is routable; `verdict` allowed it. */
  readonly onRegistered: (verdict: RegistrationVerdict) => void
  readonly heartbeatIntervalMs: number
}

/** Registers the caller as a worker. @throws {AppError} as the check does, and `overloaded` */
export function createRegister(deps: RegisterDeps): (asker: Asker, body: RegisterBody) => Promise<RegisterReply> {
  return async (asker, body) => {
    refuseLarge(body, deps.maxBytes)
    const { registration, verdict } = await deps.check(asker, body)
    const lease = deps.newLease()
    await afterRecord(async () => {
      await refuseReplaced(deps, registration)
      deps.registry.refuseIfFull(registration)
      const tenure = {
        leaseHash: hashOfLease(lease),
        registeredAt: registeredAfter(deps.previous(registration), deps.now()),
      }
      await deps.share({ kind: 'registered', registration, tenure, body })
    })
    deps.onRegistered(verdict)
    return {
      status: 'registered',
      worker_id: body.worker_id,
      capabilities_registered: registration.capabilities.size,
      lease,
      heartbeat_interval_ms: deps.heartbeatIntervalMs,
    }
  }
}

function refuseLarge(body: RegisterBody, maxBytes = Infinity): void {
  const bytes = Buffer.byteLength(JSON.stringify(body))
  if (bytes <= maxBytes) return
  throw new AppError(
    'request_invalid',
    `the registration has ${bytes} bytes; in a mesh at most ${maxBytes} are allowed`,
  )
}

/**
 * An instance that was stopped, and continues after it was replaced, registers again. It must not take the id back from a
 * replacement that is there, or the two would take it from each other forever.
 */
async function refuseReplaced({ registry, isThere, log }: RegisterDeps, registration: Registration): Promise<void> {
  const holder = registry.replacerOf(registration)
  if (holder === undefined || !(await isThere(holder)) || registry.replacerOf(registration) !== holder) return
  const { workerId, spiffeId, origin } = registration
  const fields = { event: 'worker_replaced', worker_id: workerId, spiffe_id: spiffeId, worker_url: origin }
  log.warn({ ...fields, holder_url: holder.origin }, 'an instance that was replaced may not have its id back')
  throw new AppError(
    'worker_replaced',
    `a newer instance has the worker id ${workerId} and answers its probe: stop this one, or give it a worker id of its own`,
  )
}
