// On the path of every call. The power of two choices (Mitzenmacher): draws two offers of the members by their shares and takes
// the one with less waiting, (in flight + 1) x latency. Allocates nothing.
import { isEnough } from './members.ts'
import { isPlain, shareOf, type OfferGroup } from './offer-group.ts'
import type { Offer, WorkerInstance } from './offer.ts'
import { meets, type Wish } from './wish.ts'

/** What restricts the choice of one call. */
export type Seeker = {
  readonly wish: Wish | undefined
  /** Workers that the call found unreachable. */
  readonly tried: ReadonlySet<WorkerInstance> | undefined
}

/**
 * `wait`: an offer that fits is at its limit. `busy`: each that fits answered BUSY and is closed for a time. `none`: no offer
 * fits.
 */
type Choice = Offer | 'wait' | 'busy' | 'none'
export type Choose = (group: OfferGroup | undefined, seeker: Seeker, nowMs: number) => Choice

type ChooseDeps = {
  /** A number in [0, 1). */
  readonly random: () => number
  /** False for a worker that gets no calls while another one fits. */
  readonly isOpen: (worker: WorkerInstance) => boolean
}

/** A call that asks for nothing, at its first attempt. */
export const ANYONE: Seeker = { wish: undefined, tried: undefined }

export function createChoose(deps: ChooseDeps): Choose {
  const anyway: ChooseDeps = { random: deps.random, isOpen: () => true }
  return (group, seeker, nowMs) => {
    if (group === undefined) return 'none'
    const quick = seeker === ANYONE ? quickPick(deps, group, nowMs) : undefined
    if (quick !== undefined) return quick
    const choice = closerLook(deps, group, seeker, nowMs)
    // All that fit are closed: a call that may fail is better than one that fails for certain.
    return choice === 'none' ? closerLook(anyway, group, seeker, nowMs) : choice
  }
}

function closerLook(deps: ChooseDeps, group: OfferGroup, seeker: Seeker, nowMs: number): Choice {
  const { wish, tried } = seeker
  const preferred = wish?.first === undefined ? undefined : pick(deps, group, { wish: wish.first, tried }, nowMs)
  return preferred ?? pick(deps, group, seeker, nowMs) ?? whyNone(deps, group, seeker, nowMs)
}

/** Whether the call may go to the offer, now or when the offer is free again. */
export function suits({ worker, version }: Offer, { wish, tried }: Seeker): boolean {
  return (wish === undefined || meets(wish, version, worker.labels)) && tried?.has(worker) !== true
}

/** What most calls need: one offer, or two of equal shares of which both are free. Undefined: look closer. */
function quickPick(deps: ChooseDeps, group: OfferGroup, nowMs: number): Offer | undefined {
  const { offers, members } = group
  const { random, isOpen } = deps
  const count = Math.min(offers.length, members.count(nowMs))
  const first = count === 1 ? 0 : Math.floor(random() * count)
  const a = offers[first]
  if (a === undefined || !a.isFree(nowMs) || !isOpen(a.worker)) return undefined
  if (count === 1) return a
  if (!isPlain(group, nowMs)) return undefined
  const second = first + 1 + Math.floor(random() * (count - 1))
  const b = offers[second < count ? second : second - count]
  if (b === undefined || !b.isFree(nowMs) || !isOpen(b.worker)) return undefined
  const chosen = better(a, b, nowMs, true, random)
  if (chosen.worker.inFlight > 0 && count < offers.length) growIfBusy(deps, group, count, nowMs)
  return chosen
}

function growIfBusy({ isOpen }: ChooseDeps, { offers, members }: OfferGroup, count: number, nowMs: number): void {
  let idle = 0
  for (let at = 0; at < count; at++) {
    const offer = offers[at]
    if (offer === undefined || !isIdle(offer) || !offer.isFree(nowMs) || !isOpen(offer.worker)) continue
    idle += 1
    if (isEnough(idle, count)) return
  }
  members.grow(nowMs)
}

/** The offers to choose from. Reused, and empty between two choices. */
const free: Offer[] = []

function pick(deps: ChooseDeps, group: OfferGroup, seeker: Seeker, nowMs: number): Offer | undefined {
  const plain = isPlain(group, nowMs)
  gather(deps, group, seeker, nowMs)
  const a = draw(deps, nowMs, plain)
  const b = draw(deps, nowMs, plain)
  free.length = 0
  return a === undefined || b === undefined ? a : better(a, b, nowMs, plain, deps.random)
}

/** The free ones of the members that suit; of more than the members while too few of these are idle. */
function gather({ isOpen }: ChooseDeps, { offers, members }: OfferGroup, seeker: Seeker, nowMs: number): void {
  let most = members.count(nowMs)
  let count = 0
  let idle = 0
  for (const offer of offers) {
    if (!isOpen(offer.worker) || !suits(offer, seeker)) continue
    if (count === most) {
      if (isEnough(idle, count)) return
      most = members.grow(nowMs)
    }
    count += 1
    if (!offer.isFree(nowMs)) continue
    free.push(offer)
    if (isIdle(offer)) idle += 1
  }
}

/** Takes one out of `free`, by its share. */
function draw({ random }: ChooseDeps, nowMs: number, plain: boolean): Offer | undefined {
  const at = plain ? Math.floor(random() * free.length) : drawByShare(random, nowMs)
  const drawn = free[at]
  const last = free.pop()
  if (last !== undefined && at < free.length) free[at] = last
  return drawn
}

function drawByShare(random: () => number, nowMs: number): number {
  let total = 0
  for (const offer of free) total += shareOf(offer, nowMs)
  let left = random() * total
  let at = -1
  for (const offer of free) {
    at += 1
    left -= shareOf(offer, nowMs)
    if (left < 0) return at
  }
  return at
}

function isIdle({ worker }: Offer): boolean {
  return worker.inFlight === 0
}

/**
 * The less loaded of two. With nothing in flight at either, load says nothing: then the slower one, if drawn first, gives way
 * as often as the other is faster, so that it still gets calls and its average follows.
 */
function better(a: Offer, b: Offer, nowMs: number, plain: boolean, random: () => number): Offer {
  const ofA = a.latencyMs(nowMs)
  const ofB = b.latencyMs(nowMs)
  // An offer without a sample counts like the other one.
  const latencyA = ofA === 0 ? (ofB === 0 ? 1 : ofB) : ofA
  const latencyB = ofB === 0 ? latencyA : ofB
  const inFlightA = a.worker.inFlight
  const inFlightB = b.worker.inFlight
  if (inFlightA === 0 && inFlightB === 0) return latencyB < latencyA && random() * latencyA >= latencyB ? b : a
  const scoreA = (inFlightA + 1) * latencyA
  const scoreB = (inFlightB + 1) * latencyB
  if (plain) return scoreB < scoreA ? b : a
  return scoreB * shareOf(a, nowMs) < scoreA * shareOf(b, nowMs) ? b : a
}

function whyNone({ isOpen }: ChooseDeps, { offers }: OfferGroup, seeker: Seeker, nowMs: number): Choice {
  let isBusy = false
  for (const offer of offers) {
    if (!suits(offer, seeker) || !isOpen(offer.worker)) continue
    if (nowMs >= offer.busyUntilMs) return 'wait'
    isBusy = true
  }
  return isBusy ? 'busy' : 'none'
}
