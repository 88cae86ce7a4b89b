// A scenario: one fault of the matrix, what must happen, and what is seen.
import type { Lab } from './lab.ts'

export type Finding = {
  readonly seen: string
  readonly figure: string
  /** What was expected and did not happen. */
  readonly misses: readonly string[]
  /** What happened, but not in the time that was expected. The short form does not judge it: its machine is shared. */
  readonly late: readonly string[]
}

export type Scenario = {
  /** `F1` to `F32`. */
  readonly id: string
  readonly fault: string
  readonly expected: string
  /** Part of the short form, which runs with `npm test`. */
  readonly short?: true
} & (
  | { readonly run: (lab: Lab) => Promise<Finding> }
  /** Why this machine or this product cannot show it. It never counts as passed. */
  | { readonly notShown: string }
)

type Conditions = Readonly<Record<string, boolean>>

/** `holds`, `inTime`: what was expected, in words, and whether it is so. */
export function finding(seen: string, figure: string, holds: Conditions, inTime: Conditions = {}): Finding {
  return { seen, figure, misses: untrue(holds), late: untrue(inTime) }
}

function untrue(conditions: Conditions): string[] {
  return Object.entries(conditions)
    .filter(([, isSo]) => !isSo)
    .map(([what]) => what)
}

/** How many there are of each, such as `200: 40, broken: 2`. */
export function tally(values: readonly (string | number | null)[]): string {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(String(value ?? 'broken'), (counts.get(String(value ?? 'broken')) ?? 0) + 1)
  return [...counts].map(([value, count]) => `${value}: ${count}`).join(', ')
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0
}
