// Compares the budgets of docs/performance.md with the measured values. A ratio or difference is computed within each
// round; the median of the rounds counts.
import { availableParallelism } from 'node:os'
import { cpuOfAll } from './cpu.ts'
import type { LoadResult } from './jobs.ts'
import { added, atLeast, below, none, type Budget } from './judge.ts'
import type { PolicyRow, RouteRound, RouteRow } from './measure.ts'
import { cachedRatios, type CachedRow } from './measure-cached.ts'
import { bodyRatios, type BodyRow } from './measure-bodies.ts'
import { manifestRatios, type ManifestRow } from './measure-manifests.ts'
import type { RateLoad, RateRow } from './measure-rates.ts'
import type { TraceLoad, TraceRound, TraceRowResult } from './measure-traces.ts'
import type { OverloadRatios } from './measure-overload.ts'
import { worstRatios, type RefusalRow } from './measure-refusals.ts'
import { rotationP99, unrecorded, type RotationRow } from './measure-rotation.ts'
import { MANIFEST_COUNTS } from './options.ts'
import { worstStalls, type ReloadRow } from './measure-reload.ts'
import type { RowName } from './rows.ts'

type Measured = {
  readonly policy: readonly PolicyRow[]
  readonly manifests: readonly ManifestRow[]
  readonly routes: readonly RouteRow[]
  readonly rates: readonly RateRow[]
  readonly bodies: readonly BodyRow[]
  readonly cached: readonly CachedRow[]
  readonly refusals: readonly RefusalRow[]
  readonly traces: readonly TraceRowResult[]
  readonly overload: OverloadRatios
  /** `at`: CPU with so many providers over that with 10. */
  readonly providers: { readonly at: (count: number) => number[]; readonly addedMiB: number[] }
  readonly idle: number[]
  readonly rotation: readonly RotationRow[]
  readonly reloads: readonly ReloadRow[]
}

/** The lines of the budget table, in order. Unless a line says otherwise: embedded engine, current Rego, no decision cache. */
export function holdAgainstBudgets(measured: Measured): Budget[] {
  return [
    ...againstPeers(measured),
    ...againstItself(measured),
    ...policyAlone(measured),
    ...tracing(measured),
    ...underOverload(measured),
    ...manyProviders(measured),
    below('p99 while the audit log rotates all the time / without', 1.5, 'x', rotationP99(measured.rotation)),
    none('answered calls that are not on record', unrecorded(measured.rotation)),
    below('a controller that nobody calls, of a core', 0.2, '%', measured.idle),
    below('event-loop stall by a reload of the policy, worst size', 20, 'ms', worstStalls(measured.reloads)),
  ]
}

const PEER = 'nginx + njs + OPA'

/** CPU of all processes that answer a call: controller or nginx, OPA, worker. */
function againstPeers({ routes, bodies, cached }: Measured): Budget[] {
  const all = (a: RowName, b: RowName): number[] => paired(routes, a, b, ({ closed }) => cpuOfAll(closed.cpuUs))
  return [
    below(`CPU of all, embedded / ${PEER} with the Rego of bac95cf`, 0.35, 'x', all('full', 'nginx-opa-bac95cf')),
    below(`CPU of all, embedded / ${PEER}, both current Rego`, 0.65, 'x', all('full', 'nginx-opa')),
    below(`CPU of all, sidecar / ${PEER}, both current Rego`, 1.3, 'x', all('sidecar', 'nginx-opa')),
    below(
      'the same with the decision cache on, 1,000 identities x 15 capabilities',
      0.9,
      'x',
      cachedRatios(cached, 'sidecar-cached', 'nginx-opa'),
    ),
    below('CPU, body of 1 MiB down, controller / nginx', 1.6, 'x', bodyRatios(bodies, 'down')),
    below('CPU, body of 1 MiB up, controller / nginx', 1.6, 'x', bodyRatios(bodies, 'up')),
  ]
}

function againstItself({ routes, rates, refusals }: Measured): Budget[] {
  const cpu = (a: RowName, b: RowName): number[] => paired(routes, a, b, ({ closed }) => cpuOfController(closed))
  const slices = (name: RowName) => rates.find((row) => row.name === name)?.slices ?? []
  return [
    below('CPU, whole pipeline / the same server, only forwarding', 1.3, 'x', cpu('full', 'forward')),
    below('CPU, whole pipeline / bare Fastify + undici', 1.8, 'x', cpu('full', 'bare')),
    below('CPU, spans exported / not', 1.12, 'x', cpu('traced', 'full')),
    below('CPU, a call with an idempotency key / one without', 3, 'x', cpu('keyed', 'full')),
    below(
      'CPU of all, a call at 200/s / one at saturation',
      1.4,
      'x',
      slices('full').map(({ per200, saturated }) => cpuOfAll(per200.cpuUs) / cpuOfAll(saturated.cpuUs)),
    ),
    added(
      'whole pipeline, p50 added to forwarding, 1,000/s',
      0.8,
      addedMs(rates, ['full', 'forward'], 'per1000', 'p50'),
    ),
    added('the same, p95', 3, addedMs(rates, ['full', 'forward'], 'per1000', 'p95')),
    atLeast('calls per CPU second, two processes / one', 0.85, cpu('full', 'pair')),
    twoProcesses(routes),
    below('CPU, refused without a body / a denied call, worst shape', 1, 'x', worstRatios(refusals, false)),
    below('CPU, refused / that + 2 x read and parse, worst shape', 1, 'x', worstRatios(refusals, true)),
  ]
}

/** Two processes, a worker and a load generator need a core each to be faster than one. */
const CORES = 4

function twoProcesses(routes: readonly RouteRow[]): Budget {
  const cores = availableParallelism()
  const skipped = cores < CORES ? ` (skipped: needs ${CORES} cores, there are ${cores})` : ''
  const perSecond = paired(routes, 'pair', 'full', ({ closed }) => closed.requests / closed.seconds)
  return atLeast(`calls per second, two processes / one${skipped}`, 1.7, skipped === '' ? perSecond : [])
}

function policyAlone({ policy, manifests }: Measured): Budget[] {
  const p95 = (name: PolicyRow['engine']): number[] =>
    policy.find((row) => row.engine === name && row.concurrency === 1)?.rounds.map((round) => round.latencyMs.p95) ?? []
  const [fewest, ...more] = MANIFEST_COUNTS
  return [
    below('policy evaluation, p95, embedded', 0.1, 'ms', p95('embedded')),
    below('policy evaluation, p95, sidecar', 3, 'ms', p95('sidecar')),
    ...(['embedded', 'sidecar'] as const).flatMap((engine) =>
      more.map((count) =>
        below(
          `policy evaluation, ${engine}, ${count} manifests / ${fewest}`,
          1.1,
          'x',
          manifestRatios(manifests, engine, count),
        ),
      ),
    ),
  ]
}

function tracing({ routes, rates, traces }: Measured): Budget[] {
  const shipped = (of: (round: TraceRound) => number): number[] =>
    traces.find(({ name }) => name === 'shipped')?.rounds.map(of) ?? []
  const exporting = (load: RateLoad): number[] => addedMs(rates, ['traced', 'full'], load, 'p95')
  const whole = addedMs(rates, ['traced', 'forward'], 'per1000', 'p95')
  return [
    added('exporting spans, p95 added, 200/s', 1, exporting('per200')),
    added('exporting spans, p95 added, 1,000/s', 1, exporting('per1000')),
    added('the same, by the plan', 5, exporting('per1000')),
    added('policy + audit + tracing, p95 added, fsync', 5, whole),
    added('the same, by the plan', 15, whole),
    added('policy + audit + tracing, p95 added, no fsync', 2, openP95Added(routes, 'write-traced', 'forward')),
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
  ]
}

function underOverload({ overload }: Measured): Budget[] {
  return [
    atLeast('answered at three times the peak, over the peak', 0.9, overload.goodput),
    below('the same, p99 of high over that at the peak', 3, 'x', overload.highP99),
    below('beside a caller with 200 connections, p95 over that at the peak', 2, 'x', overload.loudP95),
    below('beside a flood of refused requests, p95 over that alone', 2, 'x', overload.floodP95),
  ]
}

/** One over the other, of each round that both have. */
function paired(routes: readonly RouteRow[], a: RowName, b: RowName, of: (round: RouteRound) => number): number[] {
  return bothRounds(routes, a, b).map(([one, other]) => of(one) / of(other))
}

function manyProviders({ providers }: Measured): Budget[] {
  return [
    below('CPU, 1,000 providers of a capability over 10', 1.05, 'x', providers.at(1000)),
    below('CPU, 10,000 providers of a capability over 10', 1.1, 'x', providers.at(10_000)),
    below('memory that 10,000 providers add to 10', 100, 'MiB', providers.addedMiB),
  ]
}

/** Open loop: at saturation a percentile measures the queue, not the service. */
function openP95Added(routes: readonly RouteRow[], a: RowName, b: RowName): number[] {
  return bothRounds(routes, a, b).map(([one, other]) => one.open.latencyMs.p95 - other.open.latencyMs.p95)
}

function bothRounds(routes: readonly RouteRow[], a: RowName, b: RowName): [RouteRound, RouteRound][] {
  const [left, right] = [a, b].map((name) => routes.find((row) => row.name === name)?.rounds ?? [])
  return (left ?? []).flatMap((round, at) => {
    const other = right?.[at]
    return other === undefined ? [] : [[round, other] as [RouteRound, RouteRound]]
  })
}

/** What the first row adds to the second, of each slice. */
function addedMs(
  rates: readonly RateRow[],
  [a, b]: readonly [RowName, RowName],
  load: RateLoad,
  rank: 'p50' | 'p95',
): number[] {
  const [left, right] = [a, b].map((name) => rates.find((row) => row.name === name)?.slices ?? [])
  return (left ?? []).flatMap((slice, at) => {
    const other = right?.[at]
    return other === undefined ? [] : slice[load].latencyMs[rank] - other[load].latencyMs[rank]
  })
}

function cpuOfController({ cpuUs }: LoadResult): number {
  return cpuUs['controller'] ?? Number.NaN
}

/** A trace that was never found is worse than any that was found. */
function foundP95({ found }: TraceLoad): number {
  return found === undefined || found.missing > 0 ? Number.POSITIVE_INFINITY : found.latencyMs.p95
}

function lostIn({ spans }: TraceLoad): number {
  return spans?.lost ?? Number.NaN
}
