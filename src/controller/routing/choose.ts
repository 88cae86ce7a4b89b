// On the path of every call. The power of two choices (Mitzenmacher): draws two offers by their shares and takes the one with
// less waiting, (in flight + 1) x latency. Allocates nothing.
import { isPlain, largestShare, shareOf, type OfferGroup } from './offer-group.ts'
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

/** So many random draws before all offers are looked at. */
const DRAWS = 8
const NOTHING = -1

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
function quickPick({ random, isOpen }: ChooseDeps, group: OfferGroup, nowMs: number): Offer | undefined {
  const { offers } = group
  const count = offers.length
  const first = count === 1 ? 0 : Math.floor(random() * count)
  const a = offers[first]
  if (a === undefined || !a.isFree(nowMs) || !isOpen(a.worker)) return undefined
  if (count === 1) return a
  if (!isPlain(group, nowMs)) return undefined
  const second = first + 1 + Math.floor(random() * (count - 1))
  const b = offers[second < count ? second : second - count]
  if (b === undefined || !b.isFree(nowMs) || !isOpen(b.worker)) return undefined
  return better(a, b, nowMs, true, random)
}

function pick(deps: ChooseDeps, group: OfferGroup, seeker: Seeker, nowMs: number): Offer | undefined {
  const { offers } = group
  const plain = isPlain(group, nowMs)
  const first = drawn(deps, group, seeker, nowMs, plain, NOTHING)
  const a = offers[first]
  if (a === undefined || offers.length === 1) return a
  const b = offers[drawn(deps, group, seeker, nowMs, plain, first)]
  return b === undefined ? a : better(a, b, nowMs, plain, deps.random)
}

/** The index of a free offer that suits, drawn by its share; -1 if there is none besides `except`. */
function drawn(
  deps: ChooseDeps,
  group: OfferGroup,
  seeker: Seeker,
  nowMs: number,
  plain: boolean,
  except: number,
): number {
  const { offers } = group
  const { random } = deps
  const others = except === NOTHING ? offers.length : offers.length - 1
  const largest = plain ? 1 : largestShare(group, nowMs)
  for (let draw = 0; draw < DRAWS; draw++) {
    const at = (except + 1 + Math.floor(random() * others)) % offers.length
    const offer = offers[at]
    if (offer === undefined || !isEligible(deps, offer, seeker, nowMs)) continue
    if (plain || random() * largest < shareOf(offer, nowMs)) return at
  }
  return scanned(deps, group, seeker, nowMs, except)
}

/** As `drawn`, by looking at all offers: for groups in which most are full or do not suit. */
function scanned(deps: ChooseDeps, { offers }: OfferGroup, seeker: Seeker, nowMs: number, except: number): number {
  let total = 0
  for (let at = 0; at < offers.length; at++) {
    const offer = offers[at]
    if (offer !== undefined && at !== except && isEligible(deps, offer, seeker, nowMs)) total += shareOf(offer, nowMs)
  }
  if (total === 0) return NOTHING
  let left = deps.random() * total
  let last = NOTHING
  for (let at = 0; at < offers.length && left >= 0; at++) {
    const offer = offers[at]
    if (offer === undefined || at === except || !isEligible(deps, offer, seeker, nowMs)) continue
    last = at
    left -= shareOf(offer, nowMs)
  }
  return last
}

function isEligible({ isOpen }: ChooseDeps, offer: Offer, seeker: Seeker, nowMs: number): boolean {
  return offer.isFree(nowMs) && isOpen(offer.worker) && suits(offer, seeker)
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
