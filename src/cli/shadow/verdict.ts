// Whether a capability can be enforced: the rule of `crank shadow report`.

export type Readiness = 'ready' | 'not ready' | 'not enough data' | 'enforced'

/** Minimum evidence: calls that the policy decided, and calendar days (UTC) with calls. */
export type Thresholds = { readonly minCalls: number; readonly minDays: number }

/** `standing`: would-be denials that the current policy also denies. `decided`: calls with a decision. */
type Found = {
  readonly isEnforced: boolean
  readonly standing: number
  readonly decided: number
  readonly days: number
}

/**
 * `enforced` when no known caller is in shadow; `not ready` when enforcing would deny observed calls, even if they were few;
 * `not enough data` below the thresholds; else `ready`. `why` is a sentence without its full stop.
 */
export function readinessOf(found: Found, { minCalls, minDays }: Thresholds): { verdict: Readiness; why: string } {
  const { isEnforced, standing, decided, days } = found
  if (isEnforced) return { verdict: 'enforced', why: 'no caller of it is in shadow' }
  if (standing > 0) return { verdict: 'not ready', why: `${standing} calls would be denied` }
  if (decided < minCalls) return { verdict: 'not enough data', why: `${decided} of ${minCalls} calls seen` }
  if (days < minDays) return { verdict: 'not enough data', why: `calls on ${days} of ${minDays} days seen` }
  return { verdict: 'ready', why: `${decided} calls on ${days} days, none would be denied` }
}
