// Compares the budgets of docs/performance.md with the measured values. A ratio or difference is computed within each
// round; the median of the rounds counts.
import type { PolicyRow, RouteRound, RouteRow } from './measure.ts'
import type { TraceLoad, TraceRound, TraceRowResult } from './measure-traces.ts'
import type { OverloadRatios } from './measure-overload.ts'
import { worstRatios, type RefusalRow } from './measure-refusals.ts'
import { worstStalls, type ReloadRow } from './measure-reload.ts'
import type { RowName } from './rows.ts'
import { median, medianRange } from './statistics.ts'

/** `unclear`: the rounds do not decide. `later`: not measured yet. `not run`: excluded by --only. */
export type Mark = 'met' | 'missed' | 'unclear' | 'later' | 'not run'
export type Budget = {
  readonly what: string
  readonly limit: string
  readonly measured: number | null
  readonly unit: 'ms' | 'x' | 'spans'
  readonly rounds: readonly number[]
  readonly mark: Mark
}

type Measured = {
  readonly policy: readonly PolicyRow[]
  readonly routes: readonly RouteRow[]
  readonly refusals: readonly RefusalRow[]
  readonly traces: readonly TraceRowResult[]
  readonly overload: OverloadRatios
  readonly reloads?: readonly ReloadRow[]
}

/** The lines of the budget table, in order. */
export function holdAgainstBudgets({ policy, routes, refusals, traces, overload, reloads = [] }: Measured): Budget[] {
  const engine = (name: PolicyRow['engine']): number[] =>
    policy.find((row) => row.engine === name && row.concurrency === 1)?.rounds.map((round) => round.latencyMs.p95) ?? []
  const paired = (a: RowName, b: RowName, compare: (x: RouteRound, y: RouteRound) => number): number[] => {
    const [left, right] = [a, b].map((name) => routes.find((row) => row.name === name)?.rounds ?? [])
    return (left ?? []).flatMap((round, at) => (right?.[at] === undefined ? [] : compare(round, right[at])))
  }
  const shipped = (of: (round: TraceRound) => number): number[] =>
    traces.find(({ name }) => name === 'shipped')?.rounds.map(of) ?? []
  return [
    below('policy evaluation, p95, embedded', 0.1, 'ms', engine('embedded')),
    below('policy evaluation, p95, sidecar', 3, 'ms', engine('sidecar')),
    below('tracing, p95 added', 1, 'ms', paired('traced', 'full', p95Added)),
    below('the same, by the plan', 5, 'ms', paired('traced', 'full', p95Added)),
    below('policy + audit + tracing, p95 added, fsync', 5, 'ms', paired('traced', 'forward', p95Added)),
    below('the same, by the plan', 15, 'ms', paired('traced', 'forward', p95Added)),
    below('policy + audit + tracing, p95 added, no fsync', 2, 'ms', paired('write-traced', 'forward', p95Added)),
    below('CPU, whole pipeline over forwarding', 1.5, 'x', paired('full', 'forward', cpuRatio)),
    below('CPU, exporting spans over not', 1.12, 'x', paired('traced', 'full', cpuRatio)),
    below('CPU, the same with spans exported', 1.5, 'x', paired('traced', 'forward', cpuRatio)),
    below('CPU, a call with an idempotency key over one without', 3, 'x', paired('keyed', 'full', cpuRatio)),
    below('refused without a body over a denied call, worst shape', 1, 'x', worstRatios(refusals, false)),
    below('refused, over that + 2 x read and parse, worst shape', 1, 'x', worstRatios(refusals, true)),
    below(
      'trace found after the answer, p95, 50 calls/s',
      100,
      'ms',
      shipped(({ steady }) => foundP95(steady)),
    ),
    below(
      'trace found after the answer, p95, full load',
      1000,
      'ms',
      shipped(({ full }) => foundP95(full)),
    ),
    none(
      'spans lost, 50 calls/s',
      shipped(({ steady }) => lostIn(steady)),
    ),
    none(
      'spans lost, full load',
      shipped(({ full }) => lostIn(full)),
    ),
    below('event-loop stall by a reload of the policy, worst size', 20, 'ms', worstStalls(reloads)),
    atLeast('answered at three times the peak, over the peak', 0.9, overload.goodput),
    below('the same, p99 of high over that at the peak', 3, 'x', overload.highP99),
    below('beside a caller with 200 connections, p95 over that at the peak', 2, 'x', overload.loudP95),
    below('beside a flood of refused requests, p95 over that alone', 2, 'x', overload.floodP95),
    later('CPU of all over nginx + njs + OPA, embedded', '<= 0.6x'),
    later('CPU of all over nginx + njs + OPA, sidecar', '<= 1.3x'),
    later('cost of a request, 10 -> 10,000 workers', '<= 1.1x'),
  ]
}

/** Open loop: at saturation a percentile measures the queue, not the service. */
function p95Added(with_: RouteRound, without: RouteRound): number {
  return with_.open.latencyMs.p95 - without.open.latencyMs.p95
}

function cpuRatio(with_: RouteRound, without: RouteRound): number {
  return (with_.closed.cpuUs['controller'] ?? Number.NaN) / (without.closed.cpuUs['controller'] ?? Number.NaN)
}

/** A trace that was never found is worse than any that was found. */
function foundP95({ found }: TraceLoad): number {
  return found === undefined || found.missing > 0 ? Number.POSITIVE_INFINITY : found.latencyMs.p95
}

function lostIn({ spans }: TraceLoad): number {
  return spans?.lost ?? Number.NaN
}

/** For events that must not happen, the worst round counts. */
function none(what: string, rounds: readonly number[]): Budget {
  const limit = 'none'
  if (rounds.length === 0) return { what, limit, measured: null, unit: 'spans', rounds, mark: 'not run' }
  const measured = Math.max(...rounds)
  return { what, limit, measured, unit: 'spans', rounds, mark: measured === 0 ? 'met' : 'missed' }
}

function below(what: string, limit: number, unit: 'ms' | 'x', rounds: readonly number[]): Budget {
  const text = unit === 'x' ? `<= ${limit}x` : `< ${limit} ms`
  return judged({ what, limit: text, unit, rounds }, (value) => (unit === 'x' ? value <= limit : value < limit))
}

function atLeast(what: string, limit: number, rounds: readonly number[]): Budget {
  return judged({ what, limit: `>= ${limit}x`, unit: 'x', rounds }, (value) => value >= limit)
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

function later(what: string, limit: string): Budget {
  return { what, limit, measured: null, unit: 'x', rounds: [], mark: 'later' }
}
