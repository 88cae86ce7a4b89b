// What callers see of a controller that gets more than it can do: three times its capacity, one caller with 200 connections,
// and floods of strangers and of malformed requests. All figures are ratios within one run.
import { join } from 'node:path'
import type { OverloadJob, OverloadResult } from './overload-jobs.ts'
import { mintIdentities, POLICY_DIR, startController } from './parties.ts'
import type { Script } from './processes.ts'
import { registerWorker } from './register.ts'
import { setStage, type Stage } from './stage.ts'
import { median } from './statistics.ts'
import { fixed, table } from './table.ts'

/** `watched`: the caller whose latency counts, at a low and steady rate; `crowd`: the load beside it. */
export type OverloadRow = {
  readonly name: string
  readonly rounds: readonly { readonly watched: OverloadResult; readonly crowd: OverloadResult | undefined }[]
}

export type OverloadAmounts = { readonly warmUpSeconds: number; readonly seconds: number; readonly rounds: number }

type Options = { readonly amounts: OverloadAmounts; readonly say: (line: string) => void; readonly stop: AbortSignal }
type Lab = Stage & { readonly port: number; readonly crowd: Script; readonly watched: Script }
type Load = Omit<OverloadJob, 'port' | 'seconds'>

/** Few calls, so that the watched caller is no load itself. */
const WATCHED: Load = { kind: 'call', connections: 8, rate: 100 }
const PEAK_CONNECTIONS = 32
const CROWD_CONNECTIONS = 200
const TIMES = 3
const FLOOD_CONNECTIONS = 32

export async function measureOverload({ amounts, say, stop }: Options): Promise<OverloadRow[]> {
  say('starting a controller, a worker and two callers …')
  await using lab = await openLab(stop)
  const load = (script: Script, job: Load, seconds = amounts.seconds): Promise<OverloadResult> =>
    lab.unlessBroken(script.ask<OverloadResult>({ ...job, port: lab.port, seconds }))
  const peakLoad: Load = { kind: 'call', connections: PEAK_CONNECTIONS }
  await load(lab.crowd, peakLoad, amounts.warmUpSeconds)
  const rows: readonly (OverloadRow & { readonly rounds: unknown[] })[] = NAMES.map((name) => ({ name, rounds: [] }))
  for (let round = 1; round <= amounts.rounds; round++) {
    let peak = 0
    for (const row of rows) {
      const crowdLoad = crowdOf(row.name, peak, peakLoad)
      const [watched, crowd] = await Promise.all([
        load(lab.watched, { ...WATCHED, priority: row.name.includes('high') ? 'high' : 'normal' }),
        crowdLoad && load(lab.crowd, crowdLoad),
      ])
      if (row.name === PEAK) peak = crowd?.answered ?? 0
      row.rounds.push({ watched, crowd })
    }
    say(`overload, round ${round} is over`)
  }
  return [...rows]
}

const ALONE = 'alone'
const PEAK = 'beside 32 connections: the peak'
const OVERLOAD = 'high, beside three times the peak'
const LOUD = 'beside a caller with 200 connections'
const STRANGERS = 'beside a flood of strangers'
const MALFORMED = 'beside a flood of malformed requests'
const NAMES = [ALONE, PEAK, OVERLOAD, LOUD, STRANGERS, MALFORMED] as const

function crowdOf(name: string, peak: number, peakLoad: Load): Load | undefined {
  switch (name) {
    case ALONE:
      return undefined
    case PEAK:
      return peakLoad
    case OVERLOAD:
      return { kind: 'call', connections: CROWD_CONNECTIONS, rate: Math.max(1, Math.round(peak * TIMES)) }
    case LOUD:
      return { kind: 'call', connections: CROWD_CONNECTIONS }
    case STRANGERS:
      return { kind: 'nobody', connections: FLOOD_CONNECTIONS }
    default:
      return { kind: 'malformed', connections: FLOOD_CONNECTIONS }
  }
}

function openLab(stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const controller = await startController(processes, {
      name: 'overload',
      env: {
        ...identities.controller,
        CRANK_POLICY_DIR: POLICY_DIR,
        CRANK_STATE_DIR: join(dir, 'state'),
        CRANK_HEARTBEAT_INTERVAL_MS: '3600000',
        LOG_LEVEL: 'warn',
        // The CPU is to be the limit, not the disk of this machine.
        CRANK_AUDIT_SYNC: 'write',
      },
    })
    const worker = await processes.run('worker.ts', identities['worker-hello-world'])
    const crowd = await processes.run('overload-generator.ts', identities['worker-streaming'])
    const watched = await processes.run('overload-generator.ts', identities['worker-hello-world'])
    const identity = identities['worker-hello-world']
    await registerWorker({ port: controller.port, workerPort: worker.port, identity })
    return { port: controller.port, crowd, watched }
  })
}

/** In each round. `goodput`: 200s of all callers over those at the peak; the others: latency of the watched caller. */
export type OverloadRatios = {
  readonly goodput: readonly number[]
  readonly highP99: readonly number[]
  readonly loudP95: readonly number[]
  /** The worse of the two floods. */
  readonly floodP95: readonly number[]
}

/** The ratios that have a budget. Floods are compared with the caller alone, calls with the peak: both fill the machine. */
export function overloadRatios(rows: readonly OverloadRow[]): OverloadRatios {
  const row = (name: string): OverloadRow => rows.find((one) => one.name === name) ?? { name, rounds: [] }
  const strangers = latencyRatios(row(STRANGERS), row(ALONE), 'p95')
  return {
    goodput: goodput(row(OVERLOAD), row(PEAK)),
    highP99: latencyRatios(row(OVERLOAD), row(PEAK), 'p99'),
    loudP95: latencyRatios(row(LOUD), row(PEAK), 'p95'),
    floodP95: latencyRatios(row(MALFORMED), row(ALONE), 'p95').map((ratio, at) => Math.max(ratio, strangers[at] ?? 0)),
  }
}

function latencyRatios({ rounds }: OverloadRow, to: OverloadRow, part: 'p95' | 'p99'): number[] {
  return rounds.map(
    ({ watched }, at) => watched.latencyMs[part] / (to.rounds[at]?.watched.latencyMs[part] ?? Number.NaN),
  )
}

function goodput({ rounds }: OverloadRow, peak: OverloadRow): number[] {
  return rounds.map((round, at) => answered(round) / answered(peak.rounds[at]))
}

function answered(round: OverloadRow['rounds'][number] | undefined): number {
  return round === undefined ? Number.NaN : round.watched.answered + (round.crowd?.answered ?? 0)
}

/** As a table. Ratios are computed within a round; their median is shown. */
export function overloadTable(rows: readonly OverloadRow[]): string[] {
  const [alone, peak] = rows
  if (alone === undefined || peak === undefined) return []
  const cells = rows.map((row) => {
    const { name, rounds } = row
    return [
      name,
      fixed(median(rounds.map(answered)), 0),
      fixed(median(rounds.map(({ watched, crowd }) => watched.refused + (crowd?.refused ?? 0))), 0),
      fixed(median(goodput(row, peak)), 2),
      ...(['p50', 'p95', 'p99'] as const).map((part) =>
        fixed(median(rounds.map(({ watched }) => watched.latencyMs[part])), 1),
      ),
      ...[alone, peak].flatMap((to) =>
        (['p95', 'p99'] as const).map((part) => fixed(median(latencyRatios(row, to, part)), 1)),
      ),
    ]
  })
  const head = ['watched caller', 'ok/s', 'refused/s', 'of the peak', 'p50 ms', 'p95 ms', 'p99 ms']
  return [
    'Overload: a caller at 100 calls per second, and the load beside it',
    ...table([...head, 'p95 / alone', 'p99 / alone', 'p95 / peak', 'p99 / peak'], cells),
    '',
  ]
}
