// Workers that another controller of the mesh has registered. That one has probed them; here the policy of this controller
// decides, and its decision is recorded, before a call goes to them. One that is denied stays awaited: it may be allowed later.
import { toAppError, type ErrorCode } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import { rememberedHolder } from '../routing/awaited.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'
import { keyOf } from '../routing/registry.ts'
import { checkRemembered, makeRoutable, pause, untilReady, type RememberedDeps } from './remembered-worker.ts'

/** `check`: without a probe. */
type TakeOverDeps = RememberedDeps & { readonly log: Pick<Logger, 'warn'> }

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
    await untilReady(deps)
    while (queue.length > 0 && !deps.signal.aborted) {
      const batch = queue.splice(0, AT_ONCE)
      const settled = await Promise.all(batch.map((worker) => takeOver(worker, deps)))
      for (const [at, worker] of batch.entries()) {
        if (settled[at] === 'denied') denied.set(keyOf(rememberedHolder(worker)), worker)
      }
      const again = batch.filter((_, at) => settled[at] === 'later')
      if (again.length === 0) continue
      queue.push(...again)
      await pause(RETRY_MS, deps.signal)
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
  if (!deps.awaited.has(rememberedHolder(worker))) return 'settled'
  try {
    await makeRoutable(worker, await checkRemembered(worker, 'worker.take_over', deps), deps)
    return 'settled'
  } catch (cause: unknown) {
    const { code, message } = toAppError(cause, 'internal_error')
    if (!DENIALS.has(code)) return 'later'
    const named = { worker_id: worker.body.worker_id, spiffe_id: worker.spiffeId }
    const fields = { event: 'worker_not_taken_over', ...named, code, reason: message }
    deps.log.warn(fields, 'a worker that another controller has registered is not called from here')
    return 'denied'
  }
}
