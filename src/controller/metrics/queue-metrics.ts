// Metrics of the calls that wait for a worker. `capability` is a label only if a manifest names it.
import { Counter, Gauge, Histogram } from 'prom-client'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'

/** In this order: no room; its place went to a call of higher priority; its time was over; no worker that fits was left. */
const REFUSALS = ['full', 'displaced', 'timed_out', 'none'] as const

export type QueueMetrics = {
  /** A call got a worker after `seconds` in the queue. */
  readonly waited: (capability: string, seconds: number) => void
  readonly refused: (capability: string, reason: (typeof REFUSALS)[number]) => void
}

type QueueMetricsOptions = {
  readonly labelOf: (capability: string) => string
  /** Calls that wait now, by capability. */
  readonly lengths: () => Iterable<readonly [capability: string, count: number]>
}

const BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export function createQueueMetrics(registry: Registry, { labelOf, lengths }: QueueMetricsOptions): QueueMetrics {
  const registers = [registry]
  const wait = new Histogram({
    name: 'controller_queue_wait_seconds',
    help: 'Time in the queue of calls that found every worker at its limit and then got one.',
    labelNames: ['capability'],
    buckets: BUCKETS,
    registers,
  })
  const refusals = new Counter({
    name: 'controller_queue_refusals_total',
    help: 'Calls that found every worker at its limit and got none.',
    labelNames: ['capability', 'reason'],
    registers,
  })
  const length = new Gauge({
    name: 'controller_queue_length',
    help: 'Calls that wait for a worker.',
    labelNames: ['capability'],
    registers,
    collect() {
      length.reset()
      length.set({ capability: labelOf('') }, 0)
      for (const [capability, count] of lengths()) length.inc({ capability: labelOf(capability) }, count)
    },
  })
  guardCollector(length)
  for (const reason of REFUSALS) refusals.inc({ capability: labelOf(''), reason }, 0)
  return asObserver<QueueMetrics>({
    waited: (capability, seconds) => wait.observe({ capability: labelOf(capability) }, seconds),
    refused: (capability, reason) => refusals.inc({ capability: labelOf(capability), reason }),
  })
}
