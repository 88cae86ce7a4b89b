// One line of the budget table: a budget, what was measured, and whether the rounds decide.
import { median, medianRange } from './statistics.ts'

/** `unclear`: the rounds do not decide. `not run`: excluded by --only, or skipped. */
export type Mark = 'met' | 'missed' | 'unclear' | 'not run'
export type Budget = {
  readonly what: string
  readonly limit: string
  readonly measured: number | null
  readonly unit: 'ms' | 'x' | 'spans' | 'MiB' | '%'
  readonly rounds: readonly number[]
  readonly mark: Mark
}

/**
 * Whether the budget is a ratio that is missed for certain, with rounds enough to tell. Only such a one fails a run:
 * milliseconds say more about the machine.
 */
export function isFailed({ unit, mark, rounds }: Budget): boolean {
  return unit === 'x' && mark === 'missed' && medianRange(rounds) !== undefined
}

export function below(what: string, limit: number, unit: 'ms' | 'x' | 'MiB' | '%', rounds: readonly number[]): Budget {
  const text = unit === 'x' ? `<= ${limit}x` : `< ${limit} ${unit}`
  return judged({ what, limit: text, unit, rounds }, (value) => (unit === 'x' ? value <= limit : value < limit))
}

/** Milliseconds that one row adds to another: a few rounds cannot tell them from the noise of a machine. */
export function added(what: string, limitMs: number, rounds: readonly number[]): Budget {
  const line = judged({ what, limit: `<= ${limitMs} ms`, unit: 'ms', rounds }, (value) => value <= limitMs)
  return rounds.length > 0 && medianRange(rounds) === undefined ? { ...line, mark: 'unclear' } : line
}

export function atLeast(what: string, limit: number, rounds: readonly number[]): Budget {
  return judged({ what, limit: `>= ${limit}x`, unit: 'x', rounds }, (value) => value >= limit)
}

/** For events that must not happen, the worst round counts. */
export function none(what: string, rounds: readonly number[]): Budget {
  const limit = 'none'
  if (rounds.length === 0) return { what, limit, measured: null, unit: 'spans', rounds, mark: 'not run' }
  const measured = Math.max(...rounds)
  return { what, limit, measured, unit: 'spans', rounds, mark: measured === 0 ? 'met' : 'missed' }
}

function judged(
  { rounds, ...line }: Pick<Budget, 'what' | 'limit' | 'unit' | 'rounds'>,
  isMet: (value: number) => boolean,
): Budget {
  if (rounds.length === 0) return { ...line, measured: null, rounds, mark: 'not run' }
  const measured = median(rounds)
  // With few rounds, the median alone counts. With more, it must exceed their noise.
  const { low, high } = medianRange(rounds) ?? { low: measured, high: measured }
  const mark = isMet(low) === isMet(high) ? (isMet(measured) ? 'met' : 'missed') : 'unclear'
  return { ...line, measured, rounds, mark }
}
