// On the path of every call. The live offers of one capability, with what the choice needs to know of all of them. A value: the
// registry replaces it when a worker comes or goes; only `members` goes on from group to group.
import { Members } from './members.ts'
import type { Offer, WorkerInstance } from './offer.ts'
import { SLOW_START_MS, startShare } from './slow-start.ts'

/** Never empty. */
export type OfferGroup = {
  /** By rank: the first ones are the members. */
  readonly offers: readonly Offer[]
  /** In the order in which they became live. */
  readonly workers: readonly WorkerInstance[]
  readonly members: Members
  /** All have the same weight. */
  readonly isEven: boolean
  readonly newestLiveMs: number
}

/** The group with one offer more. */
export function withOffer(group: OfferGroup | undefined, offer: Offer): OfferGroup {
  const { weight, liveSinceMs } = offer.worker
  if (group === undefined) {
    const alone = { offers: [offer], workers: [offer.worker], members: new Members() }
    return { ...alone, isEven: true, newestLiveMs: liveSinceMs }
  }
  return {
    offers: group.offers.toSpliced(placeOf(offer, group.offers), 0, offer),
    workers: [...group.workers, offer.worker],
    members: group.members,
    isEven: group.isEven && group.workers[0]?.weight === weight,
    newestLiveMs: Math.max(group.newestLiveMs, liveSinceMs),
  }
}

/** The group without the offers of a worker; undefined when none is left. */
export function withoutWorker(group: OfferGroup, worker: WorkerInstance): OfferGroup | undefined {
  const offers = group.offers.filter((offer) => offer.worker !== worker)
  if (offers.length === 0) return undefined
  const workers = group.workers.filter((other) => other !== worker)
  return {
    offers,
    workers,
    members: group.members,
    isEven: workers.every(({ weight }) => weight === workers[0]?.weight),
    newestLiveMs: workers.reduce((ms, { liveSinceMs }) => Math.max(ms, liveSinceMs), -Infinity),
  }
}

/** Behind all offers of its rank or a lower one. */
function placeOf({ worker: { rank } }: Offer, offers: readonly Offer[]): number {
  let low = 0
  let high = offers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((offers[middle]?.worker.rank ?? Infinity) <= rank) low = middle + 1
    else high = middle
  }
  return low
}

/** All offers have the same share of the calls: no weights, and none is starting. */
export function isPlain(group: OfferGroup, nowMs: number): boolean {
  return group.isEven && nowMs - group.newestLiveMs >= SLOW_START_MS
}

/** The part of the calls that is meant for an offer, in relation to those of the others. */
export function shareOf({ worker }: Offer, nowMs: number): number {
  return worker.weight * startShare(nowMs - worker.liveSinceMs)
}
