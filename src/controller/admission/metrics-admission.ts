// Metrics of admission. Identities are never labels.
import { Counter, Gauge } from 'prom-client'
import { PRIORITIES, type Priority } from '../../core/decision.ts'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'
import type { LoadGateState } from './load-gate.ts'
import type { LoopDelay } from './loop-delay.ts'

/** Over a limit of limits.json; over the controller's own limit; left while it waited for it; no memory for a body. */
const REASONS = ['rate', 'concurrent', 'body', 'load', 'left', 'memory'] as const
type AdmissionRefusal = (typeof REASONS)[number]

export type AdmissionMetrics = {
  /** `priority`: undefined where it is not known yet. */
  readonly refused: (reason: AdmissionRefusal, priority: Priority | undefined) => void
  readonly lowered: (from: Priority, to: Priority) => void
}

const UNKNOWN = 'unknown'

/** The sources of the gauges. */
type AdmissionState = {
  readonly gate: () => LoadGateState
  readonly loopDelay: () => LoopDelay
  /** The used part of the memory limit, from 0 to 1. */
  readonly memoryUsed: () => number
}

export function createAdmissionMetrics(registry: Registry, state: AdmissionState): AdmissionMetrics {
  const registers = [registry]
  createGauges(registry, state)
  const refusals = new Counter({
    name: 'controller_admission_refused_total',
    help: 'Calls that were not let in, by reason and by priority (unknown: the body was not read).',
    labelNames: ['reason', 'priority'],
    registers,
  })
  const lowered = new Counter({
    name: 'controller_admission_lowered_total',
    help: 'Calls that got a lower priority than they asked for.',
    labelNames: ['from', 'to'],
    registers,
  })
  for (const reason of REASONS) {
    for (const priority of [...PRIORITIES, UNKNOWN]) refusals.inc({ reason, priority }, 0)
  }
  for (const [from, to] of [
    ['high', 'normal'],
    ['high', 'low'],
    ['normal', 'low'],
  ] as const) {
    lowered.inc({ from, to }, 0)
  }
  return asObserver<AdmissionMetrics>({
    refused: (reason, priority) => refusals.inc({ reason, priority: priority ?? UNKNOWN }),
    lowered: (from, to) => lowered.inc({ from, to }),
  })
}

function createGauges(registry: Registry, { gate, loopDelay, memoryUsed }: AdmissionState): void {
  const gauge = <L extends string>(name: string, help: string, labelNames: L[], collect: (of: Gauge<L>) => void) => {
    const made: Gauge<L> = new Gauge<L>({
      name: `controller_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect: () => collect(made),
    })
    guardCollector(made)
  }
  const read = (name: string, help: string, value: () => number): void =>
    gauge(name, help, [], (made) => made.set(value()))
  read('admission_limit', 'Calls that may be prepared at a time; adapts to the latency.', () => gate().limit)
  read('admission_in_flight', 'Calls that are being prepared: admitted, their verdict not durable yet.', () => {
    return gate().inFlight
  })
  read('admission_waiting', 'Calls that wait to be admitted.', () => gate().waiting)
  read('admission_latency_seconds', 'Mean time to prepare a call in the last window.', () => {
    return gate().latency.lastMs / 1000
  })
  read('admission_base_latency_seconds', 'Time to prepare a call without queueing.', () => gate().latency.baseMs / 1000)
  read('memory_used_ratio', 'Used part of the heap limit or of the memory limit, the larger of both.', memoryUsed)
  gauge('event_loop_delay_seconds', 'Delay of the event loop since the last scrape.', ['quantile'], (made) => {
    const { p50, p99, max } = loopDelay()
    made.set({ quantile: '0.5' }, p50)
    made.set({ quantile: '0.99' }, p99)
    made.set({ quantile: '1' }, max)
  })
}
