// A registration: what is checked before a worker is routable is in check-worker.ts.
import type { RegisterBody, RegisterReply } from '../../core/wire.ts'
import type { Asker, RegistrationVerdict } from '../../policy/verdict.ts'
import type { Registry, WorkerInstance } from '../routing/registry.ts'
import type { WorkerCheck } from './check-worker.ts'
import { afterRecord } from './recorded.ts'

type RegisterDeps = {
  readonly check: WorkerCheck
  readonly registry: Registry
  /** Called when the worker is routable; the worker learns its lease when this resolves. */
  readonly remember: (instance: WorkerInstance, body: RegisterBody) => Promise<void>
  /** Called when the worker is routable; `verdict` allowed it. */
  readonly onRegistered: (verdict: RegistrationVerdict) => void
  readonly heartbeatIntervalMs: number
}

/** Registers the caller as a worker. @throws {AppError} as the check does, and `overloaded` */
export function createRegister(deps: RegisterDeps): (asker: Asker, body: RegisterBody) => Promise<RegisterReply> {
  return async (asker, body) => {
    const { registration, verdict } = await deps.check(asker, body)
    const instance = await afterRecord(() => Promise.resolve(deps.registry.register(registration)))
    await deps.remember(instance, body)
    deps.onRegistered(verdict)
    return {
      status: 'registered',
      worker_id: body.worker_id,
      capabilities_registered: registration.capabilities.size,
      lease: instance.lease,
      heartbeat_interval_ms: deps.heartbeatIntervalMs,
    }
  }
}
