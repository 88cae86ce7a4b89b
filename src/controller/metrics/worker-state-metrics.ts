// Metrics of the states of workers: how many are in each, and how often they change.
import { Counter } from 'prom-client'
import { WORKER_STATES, type StateCause, type WorkerState } from '../../core/worker-health.ts'
import type { Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'

type WorkerStateMetrics = { readonly changed: (to: WorkerState, cause: StateCause) => void }

/** The changes that exist from the start, at 0. */
const CAUSES: Readonly<Record<WorkerState, readonly StateCause[]>> = {
  live: ['probe_answered', 'call_answered', 'heartbeat', 'undrained'],
  suspect: ['unreachable', 'reset'],
  ejected: ['unreachable', 'reset', 'timeout', 'answer'],
  half_open: ['probe_answered'],
  draining: ['drained'],
  stale: ['heartbeats_missed'],
}

export function createWorkerStateMetrics(registry: Registry): WorkerStateMetrics {
  const changes = new Counter({
    name: 'controller_worker_state_changes_total',
    help: 'Changes of the state of a worker, by new state and cause.',
    labelNames: ['to', 'cause'],
    registers: [registry],
  })
  for (const to of WORKER_STATES) for (const cause of CAUSES[to]) changes.inc({ to, cause }, 0)
  return asObserver<WorkerStateMetrics>({ changed: (to, cause) => changes.inc({ to, cause }) })
}
