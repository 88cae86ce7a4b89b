// How long a run takes, roughly: said before it begins. The rates are those of a machine with two shared cores.
import type { Amounts, Options } from './options.ts'
import { PARTS, type Part, type Row, type Wants } from './rows.ts'
import { LOADS, RATE_OF, SLICES } from './measure-rates.ts'

/** Requests per second of a row under load. */
const SATURATED = 1500
/** To open the connections of one load, and to start one server. */
const OPEN_S = 0.5
const START_S = 2
const DECISIONS = { embedded: 20_000, sidecar: 600 }
const BODIES_PER_S = 60
const CACHED_PER_S = 1000
const ROTATION_PER_S = 750
const LARGE_REFUSAL_S = 0.03
const SHAPES = 40

/** Seconds, of the parts that `wants` names. */
export function estimateSeconds(
  { amounts, rounds }: Pick<Options, 'amounts' | 'rounds'>,
  rows: readonly Row[],
  wants: Wants,
): number {
  const parts: Readonly<Record<Part, number>> = {
    policy:
      rounds * (amounts.decisions.embedded / DECISIONS.embedded + (2 * amounts.decisions.sidecar) / DECISIONS.sidecar),
    rates: rounds * SLICES * rows.filter(({ rates }) => rates === true).length * sliceSeconds(amounts),
    bodies:
      START_S * 4 +
      (2 * amounts.bodies.calls) / SATURATED +
      (6 * (rounds * amounts.bodies.bodies + amounts.bodies.warmUp)) / BODIES_PER_S,
    cached: START_S * 7 + (6 * (amounts.cached.warmUp + rounds * amounts.cached.calls)) / CACHED_PER_S,
    events: START_S * 2 + (2 * (rounds + 1) * amounts.events.events * amounts.events.intervalMs) / 1000,
    manifests: manifestSeconds(amounts, rounds),
    refusals: START_S + 4 * SHAPES * (amounts.refusals.small / SATURATED + amounts.refusals.large * LARGE_REFUSAL_S),
    traces:
      START_S * 6 +
      3 * (amounts.traces.warmUp / SATURATED + rounds * (amounts.traces.steady / 50 + amounts.traces.full / 700)),
    workers: 10 + amounts.workers,
    providers: 3 * START_S + (3 * (amounts.providers.warmUp + rounds * amounts.providers.calls)) / SATURATED,
    reload: 10 + rounds * 15,
    rotation:
      2 * START_S +
      2 *
        ((amounts.rotation.warmUp + amounts.rotation.calls) / SATURATED +
          (rounds * amounts.rotation.calls) / ROTATION_PER_S),
    idle: 2 * START_S + (2 * (amounts.idle.settleMs + rounds * amounts.idle.lookMs)) / 1000,
    overload: START_S * 4 + amounts.overload.warmUpSeconds + amounts.overload.rounds * 6 * amounts.overload.seconds,
  }
  const others = PARTS.map((name) => (wants(name) ? parts[name] : 0))
  return (
    rows.reduce((all, row) => all + rowSeconds(row, { amounts, rounds, isMeasured: wants(row.name) }), 0) +
    others.reduce((a, b) => a + b, 0)
  )
}

/** `40 s`, or `23 minutes`. */
export function inWords(seconds: number): string {
  return seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} minutes`
}

function rowSeconds(
  { server }: Row,
  { amounts, rounds, isMeasured }: { amounts: Amounts; rounds: number; isMeasured: boolean },
): number {
  const warm = (server === 'nginx' ? amounts.warmUpPeer : amounts.warmUp) / SATURATED
  const round = 2 * OPEN_S + (2 * amounts.ramp + amounts.closed) / SATURATED + amounts.open / amounts.rate
  return START_S + warm + (isMeasured ? rounds * round : 0)
}

function sliceSeconds({ rates }: Amounts): number {
  return LOADS.reduce(
    (all, load) => all + OPEN_S + rates.ramp / SATURATED + rates[load] / (RATE_OF[load] ?? SATURATED),
    0,
  )
}

function manifestSeconds({ manifests }: Amounts, rounds: number): number {
  const round = manifests.embedded / DECISIONS.embedded + manifests.sidecar / DECISIONS.sidecar
  return manifests.counts.length * (START_S * 2 + (rounds + 1) * round)
}
