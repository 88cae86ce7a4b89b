// On the path of every call. The registered workers and what they provide. Long-lived
// state with one invariant: `byCapability` has exactly the offers of live instances.
import type { Capability } from '../../core/capability.ts'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { REMOVED_AFTER_MISSED, STALE_AFTER_MISSED } from '../../core/wire.ts'
import type { StateCause, WorkerState } from '../../core/worker-health.ts'
import { newCondition } from './condition.ts'
import { Drains } from './drains.ts'
import { rankOf } from './members.ts'
import { hashOfLease } from './lease.ts'
import { withoutWorker, withOffer, type OfferGroup } from './offer-group.ts'
import { Offer, type WorkerInstance } from './offer.ts'
import { standingOf, type StateChange } from './standing.ts'

export type { WorkerInstance } from './offer.ts'

export const MAX_INSTANCES_PER_IDENTITY = 64
const MAX_INSTANCES = 10_000
const DEFAULT_WEIGHT = 1
const NO_LABELS: ReadonlyMap<string, string> = new Map()
const NONE_REPLACED: ReadonlySet<string> = new Set()
/** Enough for any number of instances that take turns by mistake. */
const MAX_REPLACED = 8
const NO_WORKERS: readonly WorkerInstance[] = []

export type Registration = Pick<WorkerInstance, 'workerId' | 'spiffeId' | 'origin' | 'capabilities'> &
  Partial<Pick<WorkerInstance, 'labels' | 'weight'>>
/** What an instance got when it registered; the lease itself only the worker has. */
export type Tenure = Pick<WorkerInstance, 'leaseHash' | 'registeredAt'>
/** Names exactly one instance: one that replaced it has another lease. */
export type Holder = Pick<WorkerInstance, 'spiffeId' | 'workerId' | 'leaseHash'>
/** Proves that a heartbeat or deregistration comes from the instance that registered. */
export type LeaseClaim = { readonly spiffeId: SpiffeId; readonly workerId: string; readonly lease: string }

type RegistryOptions = {
  /** Different in each process: see members.ts. */
  readonly processId: string
  readonly heartbeatIntervalMs: number
  /** What this process may use of a worker's limit; default: all of it. */
  readonly part?: (limit: number) => number
  /** Whether a sweep removes silent instances; default: true. False: another process says when one is gone. */
  readonly removes?: boolean
  /** Monotonic milliseconds: a step of the wall clock must not expire every worker. */
  readonly monotonic: () => number
  /** Called once when an instance is removed, for any reason, so that its connections can be closed. */
  readonly onGone: (instance: WorkerInstance) => void
  /** Called when an instance becomes live, for the first time or again. */
  readonly onLive?: (instance: WorkerInstance) => void
  /** Called when an instance is no longer live: stale, removed or replaced. */
  readonly onNotLive?: (instance: WorkerInstance) => void
  /** Called when heartbeats or an operator have changed the state of an instance. */
  readonly onChange?: (change: StateChange) => void
}

/**
 * The registered workers, and the live ones by capability.
 * @example
 * registry.refuseIfFull(registration)
 * registry.register(registration, { leaseHash: hashOfLease(lease), registeredAt })
 * registry.heartbeat({ spiffeId, workerId, lease }, load)
 * const candidates = registry.providers(capability)
 */
export class Registry {
  readonly #options: RegistryOptions
  readonly #instances = new Map<string, WorkerInstance>()
  readonly #perIdentity = new Map<SpiffeId, number>()
  readonly #drains = new Drains()
  readonly #byCapability = new Map<Capability, OfferGroup>()

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /** @throws {AppError} `overloaded` beyond 64 instances of one identity or 10,000 in all, unless it replaces one */
  refuseIfFull(registration: Pick<Registration, 'spiffeId' | 'workerId'>): void {
    if (!this.#instances.has(keyOf(registration))) this.#checkRoom(registration.spiffeId)
  }

  /** Adds an instance, or replaces the one with the same (SPIFFE ID, worker_id), whose lease then becomes invalid. */
  register(registration: Registration, tenure: Tenure): WorkerInstance {
    const key = keyOf(registration)
    const previous = this.#instances.get(key)
    if (previous !== undefined) this.#remove(key, previous)
    return this.#add(registration, tenure, replacedBy(registration, previous))
  }

  /** The instance that took the id from the one that now registers; undefined: it may have the id. */
  replacerOf(registration: Pick<Registration, 'spiffeId' | 'workerId' | 'origin'>): WorkerInstance | undefined {
    const holder = this.#instances.get(keyOf(registration))
    return holder?.replaced.has(registration.origin) === true ? holder : undefined
  }

  /**
   * Adds an instance that an earlier controller knew, with the lease that it still has. Undefined if the worker has
   * registered again meanwhile. `replaced`: who lost this worker id to it, as far as that is known.
   */
  restore(registration: Registration, tenure: Tenure, replaced = NONE_REPLACED): WorkerInstance | undefined {
    return this.#instances.has(keyOf(registration)) ? undefined : this.#add(registration, tenure, replaced)
  }

  /** The instance that has this lease. @throws {AppError} `worker_not_registered` when the lease is not the current one */
  owned({ lease, ...claim }: LeaseClaim): WorkerInstance {
    const instance = this.holder({ ...claim, leaseHash: hashOfLease(lease) })
    if (instance === undefined) throw new AppError('worker_not_registered')
    return instance
  }

  /** Undefined: it was removed or replaced. */
  holder(holder: Holder): WorkerInstance | undefined {
    const instance = this.#instances.get(keyOf(holder))
    return instance?.leaseHash === holder.leaseHash ? instance : undefined
  }

  /** The instance of this name, whatever its lease. */
  named(worker: Pick<Registration, 'spiffeId' | 'workerId'>): WorkerInstance | undefined {
    return this.#instances.get(keyOf(worker))
  }

  /** Keeps an instance alive. */
  heartbeat(instance: WorkerInstance, load: number | undefined): void {
    instance.lastSeenMs = this.#options.monotonic()
    instance.load = load
    if (instance.staleMs === undefined) return
    instance.staleMs = undefined
    this.#comeBack(instance, 'stale', 'heartbeat')
  }

  /** Removes exactly this instance. False if it was already removed or replaced. */
  remove(holder: Holder): boolean {
    const instance = this.holder(holder)
    if (instance === undefined) return false
    this.#remove(keyOf(instance), instance)
    return true
  }

  /** Removes whoever has this name. */
  removeNamed(worker: Pick<Registration, 'spiffeId' | 'workerId'>): void {
    const instance = this.named(worker)
    if (instance !== undefined) this.#remove(keyOf(worker), instance)
  }

  /** The worker is back: its part of the calls begins small again. */
  startSlowly(instance: WorkerInstance): void {
    if (!instance.isListed) return
    instance.liveSinceMs = this.#options.monotonic()
    this.#unlist(instance)
    this.#list(instance)
  }

  /** The live instances that provide a capability; the array belongs to the registry and must not be changed. */
  providers(capability: Capability): readonly WorkerInstance[] {
    return this.#byCapability.get(capability)?.workers ?? NO_WORKERS
  }

  /** The live offers of a capability; undefined if there are none. */
  group(capability: Capability): OfferGroup | undefined {
    return this.#byCapability.get(capability)
  }

  /** Every instance, live or stale, in the order of registration. */
  list(): WorkerInstance[] {
    return [...this.#instances.values()]
  }

  /** Live capabilities with their providers. */
  capabilities(): ReadonlyMap<Capability, OfferGroup> {
    return this.#byCapability
  }

  counts(): Record<WorkerState, number> {
    const counts = { live: 0, suspect: 0, ejected: 0, half_open: 0, draining: 0, stale: 0 }
    for (const instance of this.#instances.values()) counts[standingOf(instance).state] += 1
    return counts
  }

  /**
   * Keeps new calls from a worker, or from all instances of it, also after they have registered again. False if that was so
   * before.
   */
  drain(id: string): boolean {
    const nowMs = this.#options.monotonic()
    if (!this.#drains.add(id, nowMs)) return false
    for (const instance of this.#instances.values()) {
      if (instance.drainedMs !== undefined || this.#drains.since(instance.workerId) === undefined) continue
      const { state: from } = standingOf(instance)
      instance.drainedMs = nowMs
      this.#delist(instance)
      if (from !== 'stale') this.#options.onChange?.({ worker: instance, from, cause: 'drained' })
    }
    return true
  }

  /** Ends `drain`. False if there was none of exactly this id. */
  undrain(id: string): boolean {
    if (!this.#drains.delete(id)) return false
    for (const instance of this.#instances.values()) {
      if (instance.drainedMs === undefined || this.#drains.since(instance.workerId) !== undefined) continue
      instance.drainedMs = undefined
      if (instance.staleMs === undefined) this.#comeBack(instance, 'draining', 'undrained')
    }
    return true
  }

  /** The ids that are drained. */
  drained(): string[] {
    return this.#drains.ids()
  }

  /** Marks instances without recent heartbeats as stale, and removes them later; called by a timer. @returns who was removed */
  sweep(): Holder[] {
    const { monotonic, removes = true } = this.#options
    const now = monotonic()
    const removed: Holder[] = []
    for (const [key, instance] of this.#instances) {
      const missed = (now - instance.lastSeenMs) / this.#options.heartbeatIntervalMs
      if (removes && missed > REMOVED_AFTER_MISSED) {
        this.#remove(key, instance)
        removed.push(holderOf(instance))
      } else if (missed > STALE_AFTER_MISSED && instance.staleMs === undefined) {
        const { state: from } = standingOf(instance)
        instance.staleMs = now
        this.#delist(instance)
        this.#options.onChange?.({ worker: instance, from, cause: 'heartbeats_missed' })
      }
    }
    return removed
  }

  #add(
    registration: Registration,
    { leaseHash, registeredAt }: Tenure,
    replaced: ReadonlySet<string> = NONE_REPLACED,
  ): WorkerInstance {
    const offers = new Map<Capability, Offer>()
    const nowMs = this.#options.monotonic()
    const key = keyOf(registration)
    const instance: WorkerInstance = {
      labels: NO_LABELS,
      weight: DEFAULT_WEIGHT,
      ...registration,
      rank: rankOf(this.#options.processId, key),
      offers,
      declaredErrors: declaredErrors(registration.capabilities),
      replaced,
      leaseHash,
      registeredAt,
      lastSeenMs: nowMs,
      liveSinceMs: nowMs,
      load: undefined,
      staleMs: undefined,
      drainedMs: this.#drains.since(registration.workerId),
      condition: newCondition(nowMs),
      isListed: false,
      inFlight: 0,
    }
    for (const [capability, schema] of registration.capabilities) {
      offers.set(capability, new Offer(instance, capability, schema, this.#options.part))
    }
    this.#instances.set(key, instance)
    this.#perIdentity.set(instance.spiffeId, this.#countOf(instance.spiffeId) + 1)
    if (instance.drainedMs === undefined) this.#enlist(instance)
    return instance
  }

  /** It is no longer stale, or no longer drained. */
  #comeBack(instance: WorkerInstance, from: WorkerState, cause: StateCause): void {
    const { condition } = instance
    const nowMs = this.#options.monotonic()
    if (condition.state === 'live') Object.assign(condition, { cause, sinceMs: nowMs })
    if (instance.drainedMs === undefined) {
      instance.liveSinceMs = nowMs
      this.#enlist(instance)
    }
    this.#options.onChange?.({ worker: instance, from, cause })
  }

  #checkRoom(spiffeId: SpiffeId): void {
    if (this.#countOf(spiffeId) >= MAX_INSTANCES_PER_IDENTITY) {
      throw new AppError('overloaded', `this identity has ${MAX_INSTANCES_PER_IDENTITY} registered instances already`)
    }
    if (this.#instances.size >= MAX_INSTANCES) throw new AppError('overloaded', 'the registry is full')
  }

  #countOf(spiffeId: SpiffeId): number {
    return this.#perIdentity.get(spiffeId) ?? 0
  }

  #remove(key: string, instance: WorkerInstance): void {
    this.#instances.delete(key)
    const left = this.#countOf(instance.spiffeId) - 1
    if (left > 0) this.#perIdentity.set(instance.spiffeId, left)
    else this.#perIdentity.delete(instance.spiffeId)
    this.#delist(instance)
    this.#options.onGone(instance)
  }

  #enlist(instance: WorkerInstance): void {
    instance.isListed = true
    this.#list(instance)
    this.#options.onLive?.(instance)
  }

  #list(instance: WorkerInstance): void {
    for (const offer of instance.offers.values()) {
      this.#byCapability.set(offer.capability, withOffer(this.group(offer.capability), offer))
    }
  }

  #delist(instance: WorkerInstance): void {
    if (!instance.isListed) return
    instance.isListed = false
    this.#unlist(instance)
    this.#options.onNotLive?.(instance)
  }

  #unlist(instance: WorkerInstance): void {
    for (const capability of instance.capabilities.keys()) {
      const group = this.group(capability)
      const rest = group === undefined ? undefined : withoutWorker(group, instance)
      if (rest === undefined) this.#byCapability.delete(capability)
      else this.#byCapability.set(capability, rest)
    }
  }
}

/** One registration per key: a second one replaces it. */
export function keyOf({ spiffeId, workerId }: { spiffeId: SpiffeId; workerId: string }): string {
  return `${spiffeId} ${workerId}`
}

/** Its name, and the hash of its lease. */
export function holderOf({ spiffeId, workerId, leaseHash }: Holder): Holder {
  return { spiffeId, workerId, leaseHash }
}

function replacedBy({ origin }: Registration, previous: WorkerInstance | undefined): ReadonlySet<string> {
  if (previous === undefined) return NONE_REPLACED
  const others = [...previous.replaced, previous.origin].filter((other) => other !== origin)
  return new Set(others.slice(-MAX_REPLACED))
}

function declaredErrors(capabilities: Registration['capabilities']): Map<Capability, ReadonlySet<string>> {
  const entries = [...capabilities].map(
    ([capability, { error_codes = [] }]) => [capability, new Set(error_codes.map(({ code }) => code))] as const,
  )
  return new Map(entries)
}
