// The state of a worker as operators see it: what its registration says, then what an operator said, then what calls have shown.
import type { StateCause, WorkerState } from '../../core/worker-health.ts'
import type { WorkerInstance } from './offer.ts'

type Standing = { readonly state: WorkerState; readonly cause: StateCause; readonly sinceMs: number }
/** `worker` is in the new state already. */
export type StateChange = { readonly worker: WorkerInstance; readonly from: WorkerState; readonly cause: StateCause }

/** `sinceMs`: monotonic. */
export function standingOf({ staleMs, drainedMs, condition }: WorkerInstance): Standing {
  if (staleMs !== undefined) return { state: 'stale', cause: 'heartbeats_missed', sinceMs: staleMs }
  if (drainedMs !== undefined) return { state: 'draining', cause: 'drained', sinceMs: drainedMs }
  return condition
}
