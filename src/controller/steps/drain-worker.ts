// What an operator asks for a worker: no new calls, or calls again. Recorded before it takes effect.
import { editDistance } from '../../core/edit-distance.ts'
import { AppError } from '../../core/errors.ts'
import { isoTime } from '../../core/iso-time.ts'
import type { DrainReply } from '../../core/wire.ts'
import type { AuditEvent } from '../../audit/event.ts'
import { isOf, withoutInstance } from '../routing/drains.ts'
import type { Registry } from '../routing/registry.ts'
import type { Share } from '../routing/roll.ts'

type DrainWorkerDeps = {
  readonly registry: Registry
  readonly share: Share
  readonly append: (event: AuditEvent) => Promise<void>
  readonly now: () => number
}

type DrainWish = { readonly id: string; readonly draining: boolean; readonly reason: string | undefined }
/** @throws {AppError} `not_found` for an id that nobody has, `request_invalid`, `audit_unavailable` */
export type DrainWorker = (wish: DrainWish) => Promise<DrainReply>

const MAX_NAMED = 3
const MAX_DISTANCE = 4

export function createDrainWorker({ registry, share, append, now }: DrainWorkerDeps): DrainWorker {
  return async ({ id, draining, reason }) => {
    const workers = registry
      .list()
      .map(({ workerId }) => workerId)
      .filter((workerId) => isOf(workerId, id))
    const isDrained = registry.drained().includes(id)
    if (workers.length === 0 && !isDrained) throw new AppError('not_found', unknown(id, registry))
    if (isDrained === draining) return { worker_id: id, draining, changed: false, workers }
    const whole = withoutInstance(id)
    if (!draining && whole !== id && registry.drained().includes(whole)) {
      throw new AppError('request_invalid', `all instances of ${whole} are drained; undrain ${whole}`)
    }
    await append({
      event: 'worker_drain_changed',
      timestamp: isoTime(now()),
      ...{ worker_id: id, draining, workers, requested_by: 'admin_listener', reason: reason ?? null },
    })
    const changed = await share({ kind: draining ? 'drained' : 'undrained', id })
    return { worker_id: id, draining, changed, workers }
  }
}

function unknown(id: string, registry: Registry): string {
  const ids = registry.list().flatMap(({ workerId }) => [workerId, withoutInstance(workerId)])
  const near = [...new Set([...ids, ...registry.drained()])]
    .map((other) => ({ other, distance: other.startsWith(id) ? 0 : editDistance(id, other) }))
    .filter(({ distance }) => distance <= MAX_DISTANCE)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MAX_NAMED)
    .map(({ other }) => other)
  const hint = near.length === 0 ? 'GET /workers lists those that are' : `did you mean ${near.join(', ')}?`
  return `no worker is registered as ${id}; ${hint}`
}
