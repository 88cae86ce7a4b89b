// Metrics of further attempts at a call.
import { Counter } from 'prom-client'
import { ATTEMPT_REASONS, type AttemptReason } from '../../core/outcome.ts'
import type { Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'

export type RetryMetrics = {
  readonly repeated: (reason: AttemptReason) => void
  /** A call was not sent again, because there have been too many retries. */
  readonly overBudget: () => void
}

export function createRetryMetrics(registry: Registry): RetryMetrics {
  const registers = [registry]
  const retries = new Counter({
    name: 'controller_retries_total',
    help: 'Further attempts at a call, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const refused = new Counter({
    name: 'controller_retry_budget_refusals_total',
    help: 'Calls that were not sent again because retries reached a fifth of the calls.',
    registers,
  })
  for (const reason of ATTEMPT_REASONS) retries.inc({ reason }, 0)
  return asObserver<RetryMetrics>({
    repeated: (reason) => retries.inc({ reason }),
    overBudget: () => refused.inc(),
  })
}
