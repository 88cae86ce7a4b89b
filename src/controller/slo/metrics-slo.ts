// Metrics of the SLOs, read at each scrape. Only capabilities with an SLO have series. The alerts in
// observability/prometheus use the counters, which can be added over controllers and restarts; the gauges of burn and
// budget are what this process itself decides by.
import { Counter, Gauge } from 'prom-client'
import type { Capability } from '../../core/capability.ts'
import { guardCollector, type Registry } from '../../platform/metrics.ts'
import { asObserver } from '../../platform/observer.ts'
import type { WatchedSlo } from './slo-set.ts'
import { BURN_WINDOWS, objectivesOf } from './slo-track.ts'

type SloMetrics = {
  /** Changed files came into force, or were refused. */
  readonly reloaded: (result: 'ok' | 'failed') => void
}

/** The sources of the metrics; read at each scrape. */
type SloState = {
  readonly all: () => Iterable<readonly [Capability, WatchedSlo]>
  /** Faults in the files on disk that keep them from coming into force. */
  readonly faults: () => number
  readonly monotonic: () => number
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]
type Family = {
  readonly name: string
  readonly help: string
  /** Besides `capability`. */
  readonly labels: readonly string[]
  readonly read: (watched: WatchedSlo, nowMs: number) => readonly Sample[]
}

export function createSloMetrics(registry: Registry, state: SloState): SloMetrics {
  for (const family of GAUGES)
    collected(new Gauge(optionsOf(registry, family)), (gauge, ...to) => gauge.set(...to), family)
  for (const family of COUNTERS)
    collected(new Counter(optionsOf(registry, family)), (counter, ...to) => counter.inc(...to), family)
  return folderMetrics(registry, state)

  /** All series are written again at each scrape: one of an SLO that is gone must not stay. */
  function collected<M extends { reset: () => void }>(
    metric: M,
    write: (metric: M, labels: Record<string, string>, value: number) => void,
    { read }: Family,
  ): void {
    const collect = (): void => {
      metric.reset()
      const nowMs = state.monotonic()
      for (const [capability, watched] of state.all()) {
        for (const [labels, value] of read(watched, nowMs)) write(metric, { capability, ...labels }, value)
      }
    }
    guardCollector(Object.assign(metric, { collect }))
  }
}

const GAUGES: readonly Family[] = [
  {
    name: 'objective_ratio',
    help: 'Share of calls that have to meet the objective.',
    labels: ['objective'],
    read: ({ track }) => [...track.slo.targets].map(([objective, { target }]) => [{ objective }, target]),
  },
  {
    name: 'latency_limit_seconds',
    help: 'Time within which an answer has to begin.',
    labels: ['objective'],
    read: ({ track }) =>
      [...track.slo.targets].flatMap(([objective, { limitMs }]) =>
        limitMs === undefined ? [] : [[{ objective }, limitMs / 1000] as const],
      ),
  },
  {
    name: 'window_seconds',
    help: 'Time over which the error budget counts.',
    labels: [],
    read: ({ track }) => [[{}, track.slo.windowMs / 1000]],
  },
  {
    name: 'burn_threshold',
    help: 'Burn rate from which the SLO calls a burn fast or slow.',
    // The same for each objective, so that rules match them one to one.
    labels: ['objective', 'speed'],
    read: ({ track }) =>
      objectivesOf(track.slo).flatMap((objective) =>
        Object.entries(track.slo.burn).map(([speed, rate]) => [{ objective, speed }, rate] as const),
      ),
  },
  {
    name: 'burn_rate',
    help: 'Use of the error budget relative to the allowed rate, in this process.',
    labels: ['objective', 'window'],
    read: ({ track }, nowMs) =>
      objectivesOf(track.slo).flatMap((objective) =>
        BURN_WINDOWS.map((window) => [{ objective, window }, track.burn(objective, window, nowMs)] as const),
      ),
  },
  {
    name: 'attained_ratio',
    help: 'Share of calls that met the objective, over its window or since the start of this process.',
    labels: ['objective'],
    read: ({ track }, nowMs) =>
      objectivesOf(track.slo).map((objective) => [{ objective }, 1 - missedShare(track, objective, nowMs)]),
  },
  {
    name: 'counted_calls',
    help: 'Calls that controller_slo_attained_ratio is about.',
    labels: ['objective'],
    read: ({ track }, nowMs) =>
      objectivesOf(track.slo).map((objective) => [{ objective }, track.attained(objective, nowMs).calls]),
  },
  {
    name: 'budget_left_ratio',
    help: 'Error budget that is left, in this process; negative once the objective is missed.',
    labels: ['objective'],
    read: ({ track }, nowMs) =>
      [...track.slo.targets].map(([objective, { target }]) => [
        { objective },
        1 - missedShare(track, objective, nowMs) / (1 - target),
      ]),
  },
  {
    name: 'latency_seconds',
    help: 'Time until an answer begins, over the last hour, right to 25 %; absent without calls.',
    labels: ['objective'],
    read: ({ track }, nowMs) =>
      objectivesOf(track.slo).flatMap((objective) => {
        const ms = objective === 'availability' ? undefined : track.latency(objective, nowMs)
        return ms === undefined ? [] : [[{ objective }, ms / 1000] as const]
      }),
  },
  {
    name: 'shed_ratio',
    help: 'Share of the calls of a priority that is refused now.',
    labels: ['priority'],
    read: ({ track, shedding }, nowMs) =>
      track.slo.shed.map((priority) => [{ priority }, shedding.share(priority, nowMs)]),
  },
]

const COUNTERS: readonly Family[] = [
  {
    name: 'calls_total',
    help: 'Authorised calls that count for an objective.',
    labels: ['objective'],
    read: ({ track }) => objectivesOf(track.slo).map((objective) => [{ objective }, track.total(objective).calls]),
  },
  {
    name: 'missed_total',
    help: 'Authorised calls that missed an objective: failed by the mesh, or answered too late.',
    labels: ['objective'],
    read: ({ track }) => objectivesOf(track.slo).map((objective) => [{ objective }, track.total(objective).missed]),
  },
  {
    name: 'shed_total',
    help: 'Calls refused because the error budget burns.',
    labels: ['priority'],
    read: ({ track, shedding }) => track.slo.shed.map((priority) => [{ priority }, shedding.totals[priority]]),
  },
]

function folderMetrics(registry: Registry, state: SloState): SloMetrics {
  const faults: Gauge = new Gauge({
    name: 'controller_slo_file_faults',
    help: 'Faults in the SLO files on disk; while there are any, the last good files stay in force.',
    registers: [registry],
    collect: () => faults.set(state.faults()),
  })
  guardCollector(faults)
  const reloads = new Counter({
    name: 'controller_slo_reloads_total',
    help: 'Changes of the SLO files, loaded or refused.',
    labelNames: ['result'],
    registers: [registry],
  })
  for (const result of ['ok', 'failed']) reloads.inc({ result }, 0)
  return asObserver<SloMetrics>({ reloaded: (result) => reloads.inc({ result }) })
}

function optionsOf(registry: Registry, { name, help, labels }: Family) {
  return { name: `controller_slo_${name}`, help, labelNames: ['capability', ...labels], registers: [registry] }
}

/** 0 without calls. */
function missedShare(
  track: WatchedSlo['track'],
  objective: Parameters<typeof track.attained>[0],
  nowMs: number,
): number {
  const { missed, calls } = track.attained(objective, nowMs)
  return calls === 0 ? 0 : missed / calls
}
