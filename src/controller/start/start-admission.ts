// Starts what lets calls in: the limits of callers, the controller's own limit, and the watch over its memory.
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { LoadGate } from '../admission/load-gate.ts'
import { watchLoopDelay } from '../admission/loop-delay.ts'
import { createMemoryWatch, readMemory } from '../admission/memory-watch.ts'
import { createAdmissionMetrics, type AdmissionMetrics } from '../admission/metrics-admission.ts'
import { createQuotas, type Quotas } from '../admission/quotas.ts'
import { limitedReason } from '../admission/rate-limited.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import type { Ground } from './ground.ts'

export type StartedAdmission = {
  readonly quotas: Quotas
  readonly gate: LoadGate
  readonly metrics: AdmissionMetrics
  /** Before the body of a call is read. `bytes`: as declared. @returns why it is refused, if it is */
  readonly arrive: (caller: SpiffeId, bytes: number) => AppError | undefined
}

/** While memory is tight, larger bodies are refused. */
const SMALL_BYTES = 64 * 1024

export function startAdmission(
  { metricsRegistry, monotonic, of, opened }: Ground,
  policy: LivePolicy,
): StartedAdmission {
  const memory = createMemoryWatch({ read: () => readMemory(of) })
  const loop = opened.adopt(watchLoopDelay(), (it) => it.close())
  const metrics = createAdmissionMetrics(metricsRegistry, {
    gate: () => gate.state(),
    loopDelay: loop.take,
    memoryUsed: memory.used,
  })
  const gate: LoadGate = opened.adopt(new LoadGate({ monotonic, onRefused: metrics.refused }), (it) => it.close())
  const limits = () => policy.files().limits
  const quotas = createQuotas({ limits, share: () => 1 / of, monotonic })
  /** Whoever waits with the priority of this caller has no room for it, and the body need not be read to know that. */
  const isFullFor = (caller: SpiffeId): boolean =>
    gate.isFullFor({ caller, priority: quotas.priorityOf(caller, 'high') })

  return {
    quotas,
    gate,
    metrics,
    arrive(caller, bytes) {
      const state = memory.state()
      if (state !== 'enough' && (state === 'short' || bytes > SMALL_BYTES)) {
        metrics.refused('memory', undefined)
        return new AppError('overloaded', 'the controller has no memory for this call; wait and try again')
      }
      if (isFullFor(caller)) {
        metrics.refused('load', undefined)
        return new AppError('overloaded', 'the controller prepares as many calls as it can; wait and try again')
      }
      const refused = quotas.arrive(caller, bytes)
      const reason = refused && limitedReason(refused)
      if (reason !== undefined) metrics.refused(reason, undefined)
      return refused
    },
  }
}
