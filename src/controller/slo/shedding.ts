// On the path of every call with an SLO that sheds. Refuses a share of the calls of low priority while the error budget
// burns fast: it rises step by step, `low` before `normal`, never reaches all calls, and falls by itself.
import { SHEDDABLE, type Sheddable } from '../../slo/slo.ts'
import { objectivesOf, type SloTrack } from './slo-track.ts'

/**
 * The level rises by one in a minute. From 0 to 1 the share of `low` grows; from 1 to 2 it stays, so that its effect shows in the
 * one-minute window before anybody else is refused; from 2 to 3 the share of `normal` grows.
 */
const RISE_PER_MS = 1 / 60_000
const FALL_PER_MS = 1 / 20_000
const BEGINS_AT: Readonly<Record<Sheddable, number>> = { low: 0, normal: 2 }
/** One in ten calls of a priority always passes, and shows whether the mesh has recovered. */
const MOST = 0.9
const STEP_MS = 1000
/** A pause between two calls says nothing about the burn: the level does not rise for it. */
const LONGEST_STEP_MS = 5000
/** Fewer failures than this in an hour are no burn: one of three calls may fail in a quiet mesh. */
const FEWEST_MISSED = 10
const [SOONEST_RETRY_S, LATEST_RETRY_S] = [5, 30] as const

type SheddingOptions = { readonly track: SloTrack; readonly random: () => number }

export class Shedding {
  readonly totals: Record<Sheddable, number> = { low: 0, normal: 0 }
  readonly #track: SloTrack
  readonly #random: () => number
  #level = 0
  #steppedMs: number | undefined

  constructor({ track, random }: SheddingOptions) {
    this.#track = track
    this.#random = random
  }

  /** The share of the calls of this priority that is refused now, from 0 to 0.9. */
  share(priority: Sheddable, nowMs: number): number {
    this.#step(nowMs)
    if (!this.#track.slo.shed.includes(priority)) return 0
    return MOST * Math.min(Math.max(this.#level - BEGINS_AT[priority], 0), 1)
  }

  /** Whether to refuse one call: seconds after which to try again, or undefined to let it pass. */
  refuse(priority: Sheddable, nowMs: number): number | undefined {
    const share = this.share(priority, nowMs)
    if (share === 0 || this.#random() >= share) return undefined
    this.totals[priority] += 1
    return Math.round(SOONEST_RETRY_S + (LATEST_RETRY_S - SOONEST_RETRY_S) * (share / MOST))
  }

  /** No timer: the level follows the clock when somebody asks. */
  #step(nowMs: number): void {
    const passedMs = nowMs - (this.#steppedMs ?? nowMs)
    if (this.#steppedMs !== undefined && passedMs < STEP_MS) return
    this.#steppedMs = nowMs
    const isRising = this.#burns(nowMs)
    const by = isRising ? Math.min(passedMs, LONGEST_STEP_MS) * RISE_PER_MS : -passedMs * FALL_PER_MS
    this.#level = Math.min(Math.max(this.#level + by, 0), this.#highest())
  }

  /** Over the hour and over five minutes, as the alert says it; and over the last minute, so that it ends with its cause. */
  #burns(nowMs: number): boolean {
    const { slo } = this.#track
    return objectivesOf(slo).some((objective) => {
      const isFast = (window: '1m' | '5m' | '1h') => this.#track.burn(objective, window, nowMs) >= slo.burn.fast
      return this.#track.missed(objective, '1h', nowMs) >= FEWEST_MISSED && isFast('1h') && isFast('5m') && isFast('1m')
    })
  }

  #highest(): number {
    const last = SHEDDABLE.findLast((priority) => this.#track.slo.shed.includes(priority))
    return last === undefined ? 0 : BEGINS_AT[last] + 1
  }
}
