// Where a call waits while all workers that fit are at their limit: until one is free, its time is over, or its caller leaves.
import type { Capability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import { suits, type Seeker } from './choose.ts'
import type { OfferGroup } from './offer-group.ts'
import { MAX_IN_FLIGHT_PER_WORKER, type Offer, type WorkerInstance } from './offer.ts'
import { WaitingCalls, type WaitingLimits } from './waiting-calls.ts'

/**
 * Why a call got no worker: no room in the queue; its place went to a call of higher priority; its time is over; its caller
 * left; the last worker that fits has gone.
 */
export type NoOffer = 'full' | 'displaced' | 'timed_out' | 'left' | 'none'

/** A call that asks for its turn. */
type Waiter = {
  readonly capability: Capability
  readonly priority: Priority
  readonly seeker: Seeker
  /** What its body holds in memory. */
  readonly bytes: number
  readonly timeoutMs: number
  /** Calls back when the caller leaves. */
  readonly watch: (onLeave: () => void) => void
}

type WaitingRoomDeps = {
  readonly groupOf: (capability: Capability) => OfferGroup | undefined
  readonly isOpen: (worker: WorkerInstance) => boolean
  readonly monotonic: () => number
  readonly limits: WaitingLimits
}

type Entry = Waiter & { readonly timer: NodeJS.Timeout; readonly settle: (result: Offer | NoOffer) => void }

/**
 * An offer that becomes free goes to a waiting call before any other call can see it, so no wake-up is lost.
 * @example
 * const offer = await room.enter(waiter) // taken already, or why there is none
 * room.freed(offer) // after `offer.release()`
 */
export class WaitingRoom {
  readonly #deps: WaitingRoomDeps
  readonly #waiting: WaitingCalls<Entry>
  /** One per capability with waiting calls and a worker that is closed for a time. */
  readonly #wakers = new Map<Capability, NodeJS.Timeout>()

  constructor(deps: WaitingRoomDeps) {
    this.#deps = deps
    this.#waiting = new WaitingCalls(deps.limits)
  }

  /** Calls that wait, by capability. */
  lengths(): ReadonlyMap<Capability, number> {
    return new Map(this.#waiting.counts())
  }

  /** Resolves with an offer that is taken for the call, or with why there is none. */
  enter(waiter: Waiter): Promise<Offer | NoOffer> {
    return new Promise((settle) => {
      const timer = setTimeout(() => this.#end(entry, 'timed_out'), Math.max(1, waiter.timeoutMs))
      const entry: Entry = { ...waiter, timer, settle }
      const leaving = this.#waiting.admit(entry)
      if (leaving === undefined) {
        clearTimeout(timer)
        settle('full')
        return
      }
      for (const other of leaving) finish(other, 'displaced')
      waiter.watch(() => this.#end(entry, 'left'))
      if (!this.#wakers.has(entry.capability)) this.#wakeLater(entry.capability)
    })
  }

  /** A slot of the offer was given back. */
  freed(offer: Offer): void {
    if (this.#waiting.size === 0) return
    this.#hand(offer)
    // Below its limit over all capabilities again: the slot may be what calls for another capability wait for.
    const { worker } = offer
    if (worker.inFlight >= MAX_IN_FLIGHT_PER_WORKER - 1) this.opened(worker)
  }

  /** The worker takes calls: it is new, or back. */
  opened(worker: WorkerInstance): void {
    if (this.#waiting.size === 0) return
    for (const offer of worker.offers.values()) this.#hand(offer)
  }

  /** The worker is no longer live: calls that only it could take need not wait any more. */
  closed(worker: WorkerInstance): void {
    if (this.#waiting.size === 0) return
    // A worker that registers again is removed first: it is live again by then.
    queueMicrotask(() => {
      for (const capability of worker.capabilities.keys()) this.#endHopeless(capability)
    })
  }

  /** The offer answered BUSY and is closed for a time. */
  busy({ capability }: Offer): void {
    if (this.#waiting.count(capability) > 0) this.#wakeLater(capability)
  }

  /** Gives what is free to the calls that wait, in their order. */
  serve(capability: Capability): void {
    if (this.#waiting.count(capability) === 0) return
    for (const offer of this.#deps.groupOf(capability)?.offers ?? []) this.#hand(offer)
    this.#wakeLater(capability)
  }

  close(): void {
    for (const timer of this.#wakers.values()) clearTimeout(timer)
    this.#wakers.clear()
  }

  #hand(offer: Offer): void {
    const { monotonic, isOpen } = this.#deps
    const { worker, capability } = offer
    if (this.#waiting.count(capability) === 0 || !worker.isListed) return
    const nowMs = monotonic()
    for (const entry of this.#waiting.inTurn(capability)) {
      if (!offer.isFree(nowMs)) return
      if (!suits(offer, entry.seeker) || (!isOpen(worker) && this.#hasOpen(entry))) continue
      offer.take()
      this.#end(entry, offer)
    }
  }

  /** As in choose.ts: a closed worker gets a call only if no open one fits. */
  #hasOpen({ capability, seeker }: Entry): boolean {
    const { groupOf, isOpen } = this.#deps
    return groupOf(capability)?.offers.some((offer) => isOpen(offer.worker) && suits(offer, seeker)) === true
  }

  #endHopeless(capability: Capability): void {
    const offers = this.#deps.groupOf(capability)?.offers ?? []
    for (const entry of this.#waiting.inTurn(capability)) {
      if (!offers.some((offer) => suits(offer, entry.seeker))) this.#end(entry, 'none')
    }
  }

  #end(entry: Entry, result: Offer | NoOffer): void {
    if (this.#waiting.remove(entry)) finish(entry, result)
  }

  /** Looks again when the first worker that is closed for a time opens. */
  #wakeLater(capability: Capability): void {
    const nowMs = this.#deps.monotonic()
    let atMs = Infinity
    for (const { busyUntilMs } of this.#deps.groupOf(capability)?.offers ?? []) {
      if (busyUntilMs > nowMs && busyUntilMs < atMs) atMs = busyUntilMs
    }
    clearTimeout(this.#wakers.get(capability))
    this.#wakers.delete(capability)
    if (atMs === Infinity || this.#waiting.count(capability) === 0) return
    const wake = (): void => {
      this.#wakers.delete(capability)
      this.serve(capability)
    }
    this.#wakers.set(capability, setTimeout(wake, Math.ceil(atMs - nowMs)))
  }
}

function finish({ timer, settle }: Entry, result: Offer | NoOffer): void {
  clearTimeout(timer)
  settle(result)
}
