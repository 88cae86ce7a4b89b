// On the path of every call. The live offers of one capability, with what the choice needs to know of all of them. A value: the
// registry replaces it when a worker comes or goes.
import type { Offer, WorkerInstance } from './offer.ts'
import { SLOW_START_MS, startShare } from './slow-start.ts'

/** Never empty. */
export type OfferGroup = {
  readonly offers: readonly Offer[]
  readonly workers: readonly WorkerInstance[]
  readonly maxWeight: number
  /** All have the same weight. */
  readonly isEven: boolean
  readonly oldestLiveMs: number
  readonly newestLiveMs: number
}

/** The group with one offer more. */
export function withOffer(group: OfferGroup | undefined, offer: Offer): OfferGroup {
  const { weight, liveSinceMs } = offer.worker
  if (group === undefined) {
    const times = { oldestLiveMs: liveSinceMs, newestLiveMs: liveSinceMs }
    return { offers: [offer], workers: [offer.worker], maxWeight: weight, isEven: true, ...times }
  }
  return {
    offers: [...group.offers, offer],
    workers: [...group.workers, offer.worker],
    maxWeight: Math.max(group.maxWeight, weight),
    isEven: group.isEven && group.maxWeight === weight,
    oldestLiveMs: Math.min(group.oldestLiveMs, liveSinceMs),
    newestLiveMs: Math.max(group.newestLiveMs, liveSinceMs),
  }
}

/** The group without the offers of a worker; undefined when none is left. */
export function withoutWorker(group: OfferGroup, worker: WorkerInstance): OfferGroup | undefined {
  const offers = group.offers.filter((offer) => offer.worker !== worker)
  if (offers.length === 0) return undefined
  const weights = offers.map((offer) => offer.worker.weight)
  const times = offers.map((offer) => offer.worker.liveSinceMs)
  const maxWeight = weights.reduce((a, b) => Math.max(a, b))
  return {
    offers,
    workers: offers.map((offer) => offer.worker),
    maxWeight,
    isEven: weights.every((weight) => weight === maxWeight),
    oldestLiveMs: times.reduce((a, b) => Math.min(a, b)),
    newestLiveMs: times.reduce((a, b) => Math.max(a, b)),
  }
}

/** All offers have the same share of the calls: no weights, and none is starting. */
export function isPlain(group: OfferGroup, nowMs: number): boolean {
  return group.isEven && nowMs - group.newestLiveMs >= SLOW_START_MS
}

/** The part of the calls that is meant for an offer, in relation to those of the others. */
export function shareOf({ worker }: Offer, nowMs: number): number {
  return worker.weight * startShare(nowMs - worker.liveSinceMs)
}

/** No offer of the group has a larger share. */
export function largestShare(group: OfferGroup, nowMs: number): number {
  return group.maxWeight * startShare(nowMs - group.oldestLiveMs)
}
