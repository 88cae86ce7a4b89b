// On the path of every call. A running worker, and each of its capabilities: calls in flight, latency, and whether it takes
// another call.
import type { Capability } from '../../core/capability.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import type { CapabilitySchema } from '../../core/wire.ts'
import type { Condition } from './condition.ts'
import { fadedAverage, nextAverage, sampleOfFailure } from './latency.ts'
import type { LeaseHash } from './lease.ts'

/** One running worker process. Its offers count `inFlight`, and the choice reads it. */
export type WorkerInstance = {
  readonly workerId: string
  readonly spiffeId: SpiffeId
  /** Origin of the worker, e.g. `https://10.0.0.7:8443`. */
  readonly origin: string
  readonly leaseHash: LeaseHash
  readonly capabilities: ReadonlyMap<Capability, CapabilitySchema>
  readonly offers: ReadonlyMap<Capability, Offer>
  readonly labels: ReadonlyMap<string, string>
  /** 1 to 100: its part of the calls in relation to other workers. */
  readonly weight: number
  /** Its place among the workers that this process knows: see members.ts. */
  readonly rank: number
  /** Origins of instances that lost this worker id to it, or to one before it. */
  readonly replaced: ReadonlySet<string>
  /** Error codes that the worker declared, per capability: only these are forwarded to callers. */
  readonly declaredErrors: ReadonlyMap<Capability, ReadonlySet<string>>
  readonly registeredAt: string
  lastSeenMs: number
  /** When it became live, for the first time or again. */
  liveSinceMs: number
  load: number | undefined
  /** Since when its heartbeats are missing; undefined: they are not. */
  staleMs: number | undefined
  /** Since when an operator keeps new calls from it. */
  drainedMs: number | undefined
  /** What calls and probes have shown. */
  readonly condition: Condition
  /** Neither stale, drained nor removed: it may get calls. */
  isListed: boolean
  inFlight: number
}

/** A bound for safety, over all capabilities of a worker: what it declares itself is `max_concurrency`. */
export const MAX_IN_FLIGHT_PER_WORKER = 512
/** A worker that answered BUSY is asked again after this time at the latest, whatever its Retry-After. */
export const MAX_BUSY_S = 30

/**
 * What a worker offers under one capability.
 * @example
 * if (offer.isFree(now)) offer.take()
 * // the call ends:
 * offer.observe(sample, now)
 * offer.release()
 */
export class Offer {
  readonly worker: WorkerInstance
  readonly capability: Capability
  readonly version: string
  /** The worker's own `max_concurrency`, or the part of it that this process may use. */
  readonly limit: number
  readonly #mostOfWorker: number
  #inFlight = 0
  #busyUntilMs = 0
  #averageMs = 0
  #sampledMs = 0

  /** `part`: what this process may use of a limit. */
  constructor(
    worker: WorkerInstance,
    capability: Capability,
    { version, max_concurrency }: CapabilitySchema,
    part: (limit: number) => number = whole,
  ) {
    this.worker = worker
    this.capability = capability
    this.version = version
    this.limit = part(max_concurrency ?? Infinity)
    this.#mostOfWorker = part(MAX_IN_FLIGHT_PER_WORKER)
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** When the time of its last BUSY ends. */
  get busyUntilMs(): number {
    return this.#busyUntilMs
  }

  isFree(nowMs: number): boolean {
    return this.#inFlight < this.limit && this.worker.inFlight < this.#mostOfWorker && nowMs >= this.#busyUntilMs
  }

  take(): void {
    this.#inFlight += 1
    this.worker.inFlight += 1
  }

  release(): void {
    this.#inFlight -= 1
    this.worker.inFlight -= 1
  }

  /** The worker answered BUSY: no call until then. */
  closeFor(ms: number, nowMs: number): void {
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs + Math.min(ms, MAX_BUSY_S * 1000))
  }

  /** An attempt got its first byte, or failed, after `ms`. */
  observe(ms: number, hasFailed: boolean, nowMs: number): void {
    const sample = hasFailed ? sampleOfFailure(this.#averageMs, ms) : ms
    this.#averageMs = nextAverage(this.#averageMs, sample, Math.max(0, nowMs - this.#sampledMs))
    this.#sampledMs = nowMs
  }

  /** The worker is back after a fault: what was measured before says nothing about it any more. */
  forgetLatency(): void {
    this.#averageMs = 0
  }

  /** 0: not known yet. What has nothing in flight fades, so that a worker that was slow once is tried again. */
  latencyMs(nowMs: number): number {
    return this.worker.inFlight === 0 ? fadedAverage(this.#averageMs, nowMs - this.#sampledMs) : this.#averageMs
  }
}

function whole(limit: number): number {
  return limit
}
