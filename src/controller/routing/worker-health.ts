// On the path of every call. What the ends of attempts say about workers: a lost connection makes a worker suspect at once,
// failures in a row eject it for a time, and its own GET /health brings it back.
import type { Capability } from '../../core/capability.ts'
import type { StateCause, WorkerFault } from '../../core/worker-health.ts'
import type { Condition } from './condition.ts'
import type { OfferGroup } from './offer-group.ts'
import type { Offer, WorkerInstance } from './offer.ts'
import type { StateChange } from './standing.ts'

type WorkerHealthDeps = {
  readonly groupOf: (capability: Capability) => OfferGroup | undefined
  /** Asks the worker for its health. Never rejects. */
  readonly probe: (worker: WorkerInstance) => Promise<boolean>
  /** Called after each change. */
  readonly onChange: (change: StateChange) => void
  readonly monotonic: () => number
  /** Returns a number from 0 to below 1. */
  readonly random: () => number
}

const FAILURES_TO_EJECT = 5
const FIRST_EJECTION_MS = 1000
const MAX_EJECTION_MS = 60_000
/** An ejection so long after the last one begins with the shortest time again. */
const FORGIVEN_AFTER_MS = 60_000
const FIRST_PROBE_MS = 200
const MAX_PROBE_GAP_MS = 5000
const LEAST_TIMEOUT_MS = 1000
const JITTER = 0.2

type Watch = { timer: NodeJS.Timeout; probes: number }

/**
 * @example
 * health.ended(offer, 'reset', startMs)
 * health.forget(worker) // it is no longer registered
 */
export class WorkerHealth {
  readonly #deps: WorkerHealthDeps
  /** The workers that are suspect or ejected, each with its next probe. */
  readonly #watched = new Map<WorkerInstance, Watch>()

  constructor(deps: WorkerHealthDeps) {
    this.#deps = deps
  }

  /** An attempt that began at `startMs` has ended; without a fault, the worker answered. */
  ended(offer: Offer, fault: WorkerFault | undefined, startMs: number): void {
    const { worker } = offer
    const { condition } = worker
    if (fault === undefined) {
      if (condition.failures !== 0 || condition.state !== 'live') this.#succeeded(worker, startMs)
      return
    }
    // What began before the last change says nothing about the time after it. A worker that is not listed gets no calls anyway.
    if (startMs < condition.sinceMs || !worker.isListed) return
    if (fault === 'timeout' && this.#deps.monotonic() - startMs < fairTimeoutMs(offer)) return
    this.#failed(worker, fault)
  }

  /** The worker is no longer registered. */
  forget(worker: WorkerInstance): void {
    clearTimeout(this.#watched.get(worker)?.timer)
    this.#watched.delete(worker)
  }

  close(): void {
    for (const { timer } of this.#watched.values()) clearTimeout(timer)
    this.#watched.clear()
  }

  #succeeded(worker: WorkerInstance, startMs: number): void {
    const { condition } = worker
    if (startMs < condition.sinceMs) return
    condition.failures = 0
    if (condition.state === 'live') return
    this.forget(worker)
    this.#to(worker, 'live', 'call_answered')
  }

  #failed(worker: WorkerInstance, fault: WorkerFault): void {
    const { condition } = worker
    condition.failures += 1
    if (condition.state === 'half_open') this.#eject(worker, fault)
    // Asked again at every fifth failure only, because it looks at whole groups.
    else if (condition.failures % FAILURES_TO_EJECT === 0 && condition.state !== 'ejected' && this.#mayEject(worker)) {
      this.#eject(worker, fault)
    } else if (condition.state === 'live' && (fault === 'unreachable' || fault === 'reset')) {
      this.#to(worker, 'suspect', fault)
      this.#watch(worker, this.#jittered(FIRST_PROBE_MS))
    }
  }

  /** At most half of the providers of a capability are ejected, rounded down: a sole provider never. */
  #mayEject(worker: WorkerInstance): boolean {
    for (const capability of worker.capabilities.keys()) {
      const workers = this.#deps.groupOf(capability)?.workers ?? []
      const ejected = workers.reduce((count, { condition }) => (isEjected(condition) ? count + 1 : count), 0)
      if (2 * (ejected + 1) > workers.length) return false
    }
    return true
  }

  #eject(worker: WorkerInstance, fault: WorkerFault): void {
    const { condition } = worker
    const nowMs = this.#deps.monotonic()
    const isForgiven = condition.state === 'live' && nowMs - condition.returnedMs > FORGIVEN_AFTER_MS
    condition.ejections = isForgiven ? 1 : condition.ejections + 1
    this.forget(worker)
    this.#to(worker, 'ejected', fault)
    this.#watch(worker, this.#jittered(ejectionMs(condition)))
  }

  #watch(worker: WorkerInstance, delayMs: number, probes = 0): void {
    const watch: Watch = { probes, timer: setTimeout(() => void this.#probe(worker, watch), delayMs) }
    this.#watched.set(worker, watch)
  }

  async #probe(worker: WorkerInstance, watch: Watch): Promise<void> {
    const isHealthy = await this.#deps.probe(worker)
    // A call may have shown meanwhile that the worker is back, or it is no longer registered.
    if (this.#watched.get(worker) !== watch) return
    this.#watched.delete(worker)
    const { condition } = worker
    if (isHealthy) {
      // Otherwise its failures would keep calls from it that show that it is back.
      for (const offer of worker.offers.values()) offer.forgetLatency()
      if (condition.state === 'ejected') this.#halfOpen(worker)
      else this.#to(worker, 'live', 'probe_answered')
      return
    }
    const probes = watch.probes + 1
    if (condition.state === 'ejected') condition.ejections += 1
    const delayMs =
      condition.state === 'ejected' ? ejectionMs(condition) : Math.min(FIRST_PROBE_MS * 2 ** probes, MAX_PROBE_GAP_MS)
    this.#watch(worker, this.#jittered(delayMs), probes)
  }

  #halfOpen(worker: WorkerInstance): void {
    worker.condition.carried = worker.inFlight
    this.#to(worker, 'half_open', 'probe_answered')
  }

  #to(worker: WorkerInstance, state: Condition['state'], cause: StateCause): void {
    const { condition } = worker
    const from = condition.state
    const nowMs = this.#deps.monotonic()
    Object.assign(condition, { state, cause, sinceMs: nowMs })
    if (from === 'ejected' || from === 'half_open') condition.returnedMs = nowMs
    this.#deps.onChange({ worker, from, cause })
  }

  /** Many workers may fail at the same moment: they are not all probed at the same moment. */
  #jittered(ms: number): number {
    return ms * (1 - JITTER + 2 * JITTER * this.#deps.random())
  }
}

/** A caller that waits for less time says nothing about the worker. */
function fairTimeoutMs({ worker, capability }: Offer): number {
  return Math.max(LEAST_TIMEOUT_MS, worker.capabilities.get(capability)?.estimated_duration_ms ?? 0)
}

function isEjected({ state }: Condition): boolean {
  return state === 'ejected' || state === 'half_open'
}

function ejectionMs({ ejections }: Condition): number {
  return Math.min(FIRST_EJECTION_MS * 2 ** (Math.max(1, ejections) - 1), MAX_EJECTION_MS)
}
