// Tracing with a real Jaeger: its cost per call, how soon a trace is found, and whether spans are lost.
import { randomBytes } from 'node:crypto'
import type { LoadJob, LoadResult } from './jobs.ts'
import type { MeasureOptions } from './measure.ts'
import { countSpans, type SpanCount } from './trace-count.ts'
import type { TraceLab, TraceTarget } from './trace-lab.ts'
import { probeTraces, type ProbeResult } from './trace-probe.ts'
import { TRACE_ROWS, type TraceRowName } from './trace-rows.ts'

/** `found` and `spans`: undefined if nothing is exported. CPU is per call, including the probe's calls. */
export type TraceLoad = LoadResult & { readonly found?: ProbeResult; readonly spans?: SpanCount }
export type TraceRound = { readonly steady: TraceLoad; readonly full: TraceLoad }
export type TraceRowResult = {
  readonly name: TraceRowName
  readonly what: string
  readonly rounds: readonly TraceRound[]
}
export type TraceMeasurement =
  { readonly rows: readonly TraceRowResult[] } | { readonly unavailable: string; readonly rows: readonly [] }

type Kind = 'steady' | 'full'

/** Calls per second of the steady load. */
export const STEADY_RATE = 50
const PAUSE_MS: Record<Kind, number> = { steady: 100, full: 20 }

/** Loads each target of the lab, steadily and at saturation. @throws the abort reason when stopped */
export async function measureTraces(lab: TraceLab, options: MeasureOptions): Promise<TraceMeasurement> {
  const { amounts, rounds, say } = options
  for (const target of lab.targets) {
    const { seconds } = await lab.unlessBroken(
      lab.generator.ask<LoadResult>(jobFor(target, { ...options, ramp: 0, requests: amounts.traces.warmUp })),
    )
    say(`warmed up ${target.name}: ${amounts.traces.warmUp} requests in ${seconds.toFixed(0)} s`)
  }
  const results = lab.targets.map((target) => ({ target, rounds: [] as TraceRound[] }))
  for (let round = 1; round <= rounds; round++) {
    // Jaeger still processes the spans of the previous row, so the order of rows is reversed in every other round.
    for (const { target, rounds: all } of round % 2 === 1 ? results : results.toReversed()) {
      const steady = await load(lab, target, 'steady', options)
      const full = await load(lab, target, 'full', options)
      all.push({ steady, full })
    }
    say(`round ${round} of ${rounds} of the traces is over`)
  }
  const whatOf = (name: TraceRowName): string => TRACE_ROWS.find((row) => row.name === name)?.what ?? ''
  return { rows: results.map(({ target: { name }, rounds: all }) => ({ name, what: whatOf(name), rounds: all })) }
}

async function load(lab: TraceLab, target: TraceTarget, kind: Kind, options: MeasureOptions): Promise<TraceLoad> {
  const { traces } = options.amounts
  const run = newRun()
  const job = jobFor(target, {
    ...options,
    // Enough requests to open the connections.
    ramp: kind === 'steady' ? options.connections * 2 : options.amounts.ramp,
    requests: traces[kind],
    traces: run,
    ...(kind === 'steady' && { rate: STEADY_RATE }),
  })
  const jaeger = target.exporting ? lab.jaeger : undefined
  const loading = lab.unlessBroken(lab.generator.ask<LoadResult>(job))
  const probing = probeTraces({
    port: target.port,
    caller: lab.caller,
    jaeger,
    run: newRun(),
    pauseMs: PAUSE_MS[kind],
    until: loading,
  })
  const [loaded, found] = await Promise.all([loading, lab.unlessBroken(probing)])
  const result = { ...loaded, cpuUs: perCall(loaded, found.probes) }
  if (jaeger === undefined) return result
  return { ...result, found, spans: await lab.unlessBroken(countSpans(jaeger, run, job.ramp + job.requests)) }
}

function jobFor(
  { port, pids }: TraceTarget,
  { connections, ramp, requests, rate, traces }: Omit<LoadJob, 'port' | 'pids'>,
): LoadJob {
  return {
    port,
    pids,
    connections,
    ramp,
    requests,
    ...(rate !== undefined && { rate }),
    ...(traces !== undefined && { traces }),
  }
}

/** The generator counts only its own calls; the processes also served those of the probe. */
function perCall({ cpuUs, requests }: LoadResult, probes: number): Record<string, number> {
  const share = requests / (requests + probes)
  return Object.fromEntries(Object.entries(cpuUs).map(([part, us]) => [part, us * share]))
}

function newRun(): string {
  return randomBytes(8).toString('hex')
}
