// A service level objective of one capability. Files in slos/ declare them; the controller, `crank slo` and the alerts use
// the same names.
import type { Capability } from '../core/capability.ts'
import type { Priority } from '../core/decision.ts'

/** What is measured. `availability`: authorised calls that do not fail; the others: calls whose answer begins in time. */
export const OBJECTIVES = ['availability', 'p50', 'p95', 'p99'] as const
export type Objective = (typeof OBJECTIVES)[number]
export type LatencyObjective = Exclude<Objective, 'availability'>

/** The share of the calls that have to begin their answer in time: 99 % for `p99`. */
export const LATENCY_TARGETS: Readonly<Record<LatencyObjective, number>> = { p50: 0.5, p95: 0.95, p99: 0.99 }

/** Priorities that may be shed, in the order in which they are. `high` never is. */
export const SHEDDABLE = ['low', 'normal'] as const satisfies readonly Priority[]
export type Sheddable = (typeof SHEDDABLE)[number]

/** The burn rates of the Google SRE workbook, chapter 5: 2 % of a 30-day budget in one hour, 5 % in six hours. */
export const DEFAULT_BURN = { fast: 14.4, slow: 6 } as const

/** `target`: the share of good calls, below 1. `limitMs`: the answer begins within this time; undefined for availability. */
export type Target = { readonly target: number; readonly limitMs: number | undefined }

export type Slo = {
  readonly capability: Capability
  /** Who is responsible for it. */
  readonly owner: string
  /** The time over which the error budget counts. */
  readonly windowMs: number
  readonly targets: ReadonlyMap<Objective, Target>
  /** How many times faster than allowed the budget may be used up: over 1 h and 5 min, and over 6 h and 30 min. */
  readonly burn: { readonly fast: number; readonly slow: number }
  readonly shed: readonly Sheddable[]
}
