// After a restart: checks the workers that the registry on disk remembers, as if each registered again, and routes to those
// that pass; one whose probe failed is looked at once more. A few at a time and in random order, so that the start of a large mesh
// is no storm.
import { toAppError, type ErrorCode } from '../../core/errors.ts'
import { REMOVED_AFTER_MISSED } from '../../core/wire.ts'
import type { Logger } from '../../platform/logger.ts'
import { rememberedHolder } from '../routing/awaited.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'
import type { CheckedWorker } from './check-worker.ts'
import { checkRemembered, makeRoutable, pause, untilReady, type RememberedDeps } from './remembered-worker.ts'

type RecallDeps = RememberedDeps & {
  /** Whom to check. */
  readonly remembered: () => readonly RememberedWorker[]
  /** The first look at who is awaited; default: at once. */
  readonly delayMs?: number
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly heartbeatIntervalMs: number
  readonly monotonic: () => number
  /** Returns a number from 0 to below 1. */
  readonly random: () => number
}

type Result = 'restored' | 'refused' | 'replaced'

const LANES = 16
const MAX_MEAN_GAP_MS = 100
const RETRY_MS = 1000

/** Not the worker's fault: it is asked about again. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'policy_engine_unavailable',
  'policy_engine_error',
  'policy_not_ready',
  'audit_unavailable',
])

/** Checks every remembered worker that is still awaited. Resolves when each is settled, or the signal aborts. Never rejects. */
export function createRecall(deps: RecallDeps): () => Promise<void> {
  return async () => {
    const { log, signal, monotonic, delayMs = 0 } = deps
    if (delayMs > 0) await pause(delayMs, signal)
    const queue = shuffled(deps.remembered(), deps.random)
    const remembered = queue.length
    if (remembered === 0) return
    const startMs = monotonic()
    const results: Record<Result, number> = { restored: 0, refused: 0, replaced: 0 }
    const take = async (workers: RememberedWorker[], isLastLook: boolean): Promise<RememberedWorker[]> => {
      const unreached: RememberedWorker[] = []
      await inLanes(workers, deps, async (next) => {
        const settled = settle(next, { startMs, isLastLook }, deps)
        const result = await settled.catch((err: unknown) => unsettled(next, err, deps))
        if (result === 'unreached') unreached.push(next)
        else if (result !== undefined) results[result]++
      })
      return unreached
    }
    await untilReady(deps)
    const unreached = await take(queue, false)
    if (unreached.length > 0) {
      await pause(RETRY_MS, signal)
      await take(unreached, true)
    }
    if (signal.aborted) return
    const duration_ms = Math.round(monotonic() - startMs)
    const fields = { event: 'registry_recalled', remembered, ...results, duration_ms }
    log.info(fields, 'the workers of the registry on disk were checked again')
  }
}

/** A few at a time, spread over half a heartbeat interval; few workers need not wait at all. Empties `queue`. */
async function inLanes(
  queue: RememberedWorker[],
  { heartbeatIntervalMs, random, signal }: RecallDeps,
  take: (worker: RememberedWorker) => Promise<void>,
): Promise<void> {
  const gapMs = Math.min(MAX_MEAN_GAP_MS, (heartbeatIntervalMs * LANES) / (2 * queue.length))
  const lane = async (): Promise<void> => {
    for (let next = queue.pop(); next !== undefined && !signal.aborted; next = queue.pop()) {
      await take(next)
      if (queue.length > 0) await pause(2 * gapMs * random(), signal)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

/**
 * `unreached`: the probe failed and this is not the last look. The machine may be busy, as at a restart of all its programs.
 * @throws {AppError} as `share`
 */
async function settle(
  worker: RememberedWorker,
  { startMs, isLastLook }: { readonly startMs: number; readonly isLastLook: boolean },
  deps: RecallDeps,
): Promise<Result | 'unreached'> {
  const { awaited, share, signal, monotonic, heartbeatIntervalMs } = deps
  const endMs = startMs + REMOVED_AFTER_MISSED * heartbeatIntervalMs
  const holder = rememberedHolder(worker)
  while (awaited.has(holder)) {
    const checked = await checkAgain(worker, deps)
    if (typeof checked !== 'string') return (await makeRoutable(worker, checked, deps)) ? 'restored' : 'replaced'
    if (checked === 'worker_failed' && !isLastLook) return 'unreached'
    if (!PASSING.has(checked) || monotonic() > endMs) {
      return (await share({ kind: 'unconfirmed', holder })) ? 'refused' : 'replaced'
    }
    await pause(RETRY_MS, signal)
    // The next start asks again.
    if (signal.aborted) return 'refused'
  }
  return 'replaced'
}

/** A code: why it is not routable. */
async function checkAgain(worker: RememberedWorker, deps: RecallDeps): Promise<CheckedWorker | ErrorCode> {
  try {
    return await checkRemembered(worker, 'worker.recall', deps)
  } catch (cause: unknown) {
    return toAppError(cause, 'internal_error').code
  }
}

/** The other processes cannot be told: the parent is gone, and this process ends, or it hangs, and makes the change later. */
function unsettled({ spiffeId, body }: RememberedWorker, err: unknown, { log }: RecallDeps): undefined {
  const fields = { event: 'worker_not_recalled', worker_id: body.worker_id, spiffe_id: spiffeId, err }
  log.warn(fields, 'a worker of the registry on disk was checked, and nobody can be told')
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
