// On the path of every call with an SLO. What was seen of one capability: counts over the windows of the burn rates and over
// the window of its error budget, and the times of the last hour.
import { OBJECTIVES, type LatencyObjective, type Objective, type Slo } from '../../slo/slo.ts'
import type { Grade } from './call-grade.ts'
import { LatencyHistogram } from './latency-histogram.ts'
import { SlidingCounters } from './sliding-counters.ts'

/** The windows of burn rates. `1m` only says whether a burn goes on now. */
export const BURN_WINDOWS = ['1m', '5m', '30m', '1h', '6h'] as const
type BurnWindow = (typeof BURN_WINDOWS)[number]

/** Calls that count for an objective, and those that missed it. */
type Count = { readonly missed: number; readonly calls: number }

const SLOT_MS = 10_000
const WINDOW_SLOTS = [6, 30, 180, 360, 2160]
const BUDGET_SLOTS = 720
const LATENCIES: readonly LatencyObjective[] = ['p50', 'p95', 'p99']
const [GOOD, BAD, TIMED, SLOW] = [0, 1, 2, 3] as const
const COUNTERS = SLOW + LATENCIES.length

export class SloTrack {
  /** All calls since the SLO came into force, by counter. */
  readonly #totals = new Float64Array(COUNTERS)
  readonly #recent: SlidingCounters
  readonly #times: LatencyHistogram
  #budget: SlidingCounters
  #slo: Slo
  /** In the order of the latency objectives; infinite where there is none. */
  #limits: readonly number[]

  constructor(slo: Slo, nowMs: number) {
    this.#slo = slo
    this.#limits = limitsOf(slo)
    this.#recent = new SlidingCounters({ slotMs: SLOT_MS, windows: WINDOW_SLOTS, counters: COUNTERS }, nowMs)
    this.#budget = budgetOf(slo, nowMs)
    this.#times = new LatencyHistogram(nowMs)
  }

  get slo(): Slo {
    return this.#slo
  }

  /** Takes over a changed SLO. What was counted stays, unless the change gives it another meaning. */
  follow(slo: Slo, nowMs: number): void {
    const limits = limitsOf(slo)
    const isSameLatency = limits.every((limit, at) => limit === this.#limits[at])
    if (slo.windowMs !== this.#slo.windowMs) this.#budget = budgetOf(slo, nowMs)
    if (!isSameLatency) for (let counter = TIMED; counter < COUNTERS; counter += 1) this.#clear(counter)
    this.#limits = limits
    this.#slo = slo
  }

  /** `firstByteMs`: undefined for an answer that no worker gave now. */
  record(grade: Exclude<Grade, 'skipped'>, firstByteMs: number | undefined, nowMs: number): void {
    if (grade === 'bad') {
      this.#add(BAD, nowMs)
      return
    }
    this.#add(GOOD, nowMs)
    if (firstByteMs === undefined) return
    this.#add(TIMED, nowMs)
    this.#times.add(firstByteMs, nowMs)
    for (let at = 0; at < LATENCIES.length; at += 1) {
      if (firstByteMs <= (this.#limits[at] ?? Infinity)) continue
      this.#add(SLOW + at, nowMs)
    }
  }

  /** How many times faster than allowed the budget is used up over the window; 0 without calls. */
  burn(objective: Objective, window: BurnWindow, nowMs: number): number {
    const { missed, calls } = this.#counted(this.#recent, BURN_WINDOWS.indexOf(window), objective, nowMs)
    const target = this.#slo.targets.get(objective)?.target ?? 0
    return calls === 0 ? 0 : missed / calls / (1 - target)
  }

  /** The calls that did not meet the objective, over a window of burn rates. */
  missed(objective: Objective, window: BurnWindow, nowMs: number): number {
    return this.#counted(this.#recent, BURN_WINDOWS.indexOf(window), objective, nowMs).missed
  }

  /** Over the window of the error budget, as far back as this process reaches. */
  attained(objective: Objective, nowMs: number): Count {
    return this.#counted(this.#budget, 0, objective, nowMs)
  }

  /** Since the SLO came into force; never less than before. */
  total(objective: Objective): Count {
    return countOf(objective, (counter) => this.#totals[counter] ?? 0)
  }

  /** The quantile of the time to the first byte over the last hour, in ms; undefined without a call. */
  latency(objective: LatencyObjective, nowMs: number): number | undefined {
    return this.#times.quantile({ p50: 0.5, p95: 0.95, p99: 0.99 }[objective], nowMs)
  }

  #counted(counters: SlidingCounters, window: number, objective: Objective, nowMs: number): Count {
    return countOf(objective, (counter) => counters.sum(window, counter, nowMs))
  }

  #add(counter: number, nowMs: number): void {
    this.#totals[counter] = (this.#totals[counter] ?? 0) + 1
    this.#recent.add(counter, nowMs)
    this.#budget.add(counter, nowMs)
  }

  #clear(counter: number): void {
    this.#recent.clear(counter)
    this.#budget.clear(counter)
  }
}

function countOf(objective: Objective, of: (counter: number) => number): Count {
  if (objective === 'availability') return { missed: of(BAD), calls: of(GOOD) + of(BAD) }
  return { missed: of(SLOW + LATENCIES.indexOf(objective)), calls: of(TIMED) }
}

/** The objectives that an SLO has, in the order of `OBJECTIVES`. */
export function objectivesOf({ targets }: Slo): Objective[] {
  return OBJECTIVES.filter((objective) => targets.has(objective))
}

function limitsOf({ targets }: Slo): number[] {
  return LATENCIES.map((name) => targets.get(name)?.limitMs ?? Infinity)
}

function budgetOf({ windowMs }: Slo, nowMs: number): SlidingCounters {
  const options = { slotMs: windowMs / BUDGET_SLOTS, windows: [BUDGET_SLOTS], counters: COUNTERS }
  return new SlidingCounters(options, nowMs)
}
