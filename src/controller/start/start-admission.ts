// Starts what lets calls in: the limits of callers, and the controller's own limit.
import type { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { LoadGate } from '../admission/load-gate.ts'
import { createAdmissionMetrics, type AdmissionMetrics } from '../admission/metrics-admission.ts'
import { createQuotas, type Quotas } from '../admission/quotas.ts'
import { limitedReason } from '../admission/rate-limited.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import type { Ground } from './ground.ts'

export type StartedAdmission = {
  readonly quotas: Quotas
  readonly gate: LoadGate
  readonly metrics: AdmissionMetrics
  /** Before the body of a call is read. @returns why it is refused, if it is */
  readonly arrive: (caller: SpiffeId, bytes: number) => AppError | undefined
}

/** One process: the whole of every limit is its own. */
const WHOLE = 1

export function startAdmission({ metricsRegistry, monotonic, opened }: Ground, policy: LivePolicy): StartedAdmission {
  const metrics = createAdmissionMetrics(metricsRegistry, () => gate.state())
  const gate = opened.adopt(
    new LoadGate({ monotonic, onRefused: (priority) => metrics.refused('load', priority) }),
    (it) => it.close(),
  )
  const quotas = createQuotas({ limits: () => policy.files().limits, share: () => WHOLE, monotonic })
  return {
    quotas,
    gate,
    metrics,
    arrive(caller, bytes) {
      const refused = quotas.arrive(caller, bytes)
      const reason = refused && limitedReason(refused)
      if (reason !== undefined) metrics.refused(reason, undefined)
      return refused
    },
  }
}
