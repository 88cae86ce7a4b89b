// Metrics of admission. Identities are never labels.
import { Counter, Gauge } from 'prom-client'
import { PRIORITIES, type Priority } from '../../core/decision.ts'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'
import type { LoadGateState } from './load-gate.ts'

/** Over a limit of limits.json; over the controller's own limit; no memory for a body. */
const REASONS = ['rate', 'concurrent', 'body', 'load', 'memory'] as const
export type AdmissionRefusal = (typeof REASONS)[number]

export type AdmissionMetrics = {
  /** `priority`: undefined where it is not known yet. */
  readonly refused: (reason: AdmissionRefusal, priority: Priority | undefined) => void
  readonly lowered: (from: Priority, to: Priority) => void
}

const UNKNOWN = 'unknown'

export function createAdmissionMetrics(registry: Registry, state: () => LoadGateState): AdmissionMetrics {
  const registers = [registry]
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
  const read = (name: string, help: string, value: () => number): void => {
    const made: Gauge = new Gauge({
      name: `controller_admission_${name}`,
      help,
      registers,
      collect: () => made.set(value()),
    })
    guardCollector(made)
  }
  read('limit', 'Calls that may be prepared at a time; adapts to the latency.', () => state().limit)
  read('in_flight', 'Calls that are being prepared: admitted, verdict not durable yet.', () => state().inFlight)
  read('waiting', 'Calls that wait to be let in.', () => state().waiting)
  read('latency_seconds', 'Mean time to prepare a call in the last window.', () => state().latency.lastMs / 1000)
  read('base_latency_seconds', 'Time to prepare a call without queueing.', () => state().latency.baseMs / 1000)
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
