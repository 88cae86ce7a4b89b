// Workers that another controller of the mesh has registered. That one has probed them; here the policy of this controller
// decides, and its decision is recorded, before a call goes to them. One that is denied stays awaited: it may be allowed later.
import { setTimeout as delay } from 'node:timers/promises'
import type { Tracer } from '@opentelemetry/api'
import { toAppError, type ErrorCode } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import type { RegistrationVerdict } from '../../policy/verdict.ts'
import { rememberedHolder, type Awaited } from '../routing/awaited.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'
import { keyOf, type Registry } from '../routing/registry.ts'
import type { Share } from '../routing/roll.ts'
import type { WorkerCheck } from './check-worker.ts'
import { untilReady } from './recall.ts'
import { askerFor } from './remembered-asker.ts'

type TakeOverDeps = {
  readonly awaited: Awaited
  /** Without a probe. */
  readonly check: WorkerCheck
  readonly registry: Pick<Registry, 'refuseIfFull'>
  readonly share: Share
  /** Called when a worker is routable; `verdict` allowed it. */
  readonly onRegistered: (verdict: RegistrationVerdict) => void
  readonly isReady: () => boolean
  readonly tracer: Tracer
  readonly now: () => number
  readonly log: Pick<Logger, 'warn'>
  readonly signal: AbortSignal
}

/** Anything else may pass: it is asked about again. */
const DENIALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['registration_denied', 'request_invalid'])
const AT_ONCE = 50
const RETRY_MS = 1000

type TakeOver = {
  /** Checks a worker, after those that were given before. Never throws. */
  readonly take: (worker: RememberedWorker) => void
  /** The policy has changed: those that it denied are checked again. */
  readonly again: () => void
}

export function createTakeOver(deps: TakeOverDeps): TakeOver {
  const denied = new Map<string, RememberedWorker>()
  let queue: RememberedWorker[] = []
  let isRunning = false

  async function run(): Promise<void> {
    if (isRunning) return
    isRunning = true
    await untilReady(deps.isReady, deps.signal)
    while (queue.length > 0 && !deps.signal.aborted) {
      const batch = queue.splice(0, AT_ONCE)
      const settled = await Promise.all(batch.map((worker) => takeOver(worker, deps)))
      for (const [at, worker] of batch.entries()) {
        if (settled[at] === 'denied') denied.set(keyOf(rememberedHolder(worker)), worker)
      }
      const again = batch.filter((_, at) => settled[at] === 'later')
      if (again.length === 0) continue
      queue.push(...again)
      await delay(RETRY_MS, undefined, { signal: deps.signal, ref: false }).catch(() => undefined)
    }
    isRunning = false
  }

  return {
    take(worker) {
      denied.delete(keyOf(rememberedHolder(worker)))
      queue.push(worker)
      void run()
    },
    again() {
      queue = [...queue, ...denied.values()]
      denied.clear()
      void run()
    },
  }
}

async function takeOver(worker: RememberedWorker, deps: TakeOverDeps): Promise<'settled' | 'denied' | 'later'> {
  const { awaited, share, registry, log } = deps
  const { leaseHash, registeredAt, body, spiffeId } = worker
  const holder = rememberedHolder(worker)
  if (!awaited.has(holder)) return 'settled'
  const asker = askerFor(worker, 'worker.take_over', deps)
  try {
    const { registration, verdict } = await deps.check(asker, body)
    registry.refuseIfFull(registration)
    const isNew = await share({ kind: 'restored', registration, tenure: { leaseHash, registeredAt }, body })
    if (isNew) deps.onRegistered(verdict)
  } catch (cause: unknown) {
    const { code, message } = toAppError(cause, 'internal_error')
    if (!DENIALS.has(code)) return 'later'
    const fields = {
      event: 'worker_not_taken_over',
      worker_id: body.worker_id,
      spiffe_id: spiffeId,
      code,
      reason: message,
    }
    log.warn(fields, 'a worker that another controller has registered is not called from here')
    return 'denied'
  } finally {
    asker.span.end()
  }
  return 'settled'
}
