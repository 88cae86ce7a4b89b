// What callers see of the rotation of the audit log: a controller whose segments are so small that it rotates, compresses and
// indexes all the time, beside one with the default size, at the same rate in turns. Every answered call must be on record.
import { join } from 'node:path'
import { readLines } from '../../src/audit/lines.ts'
import { auditChainsIn, auditDirIn } from '../../src/audit/places.ts'
import type { Pids } from './cpu.ts'
import type { LoadJob, LoadResult } from './jobs.ts'
import { mintIdentities } from './parties.ts'
import type { Script } from './processes.ts'
import type { Row } from './rows.ts'
import { setStage, type Stage } from './stage.ts'
import { startServer, type Place } from './start-server.ts'
import { median } from './statistics.ts'
import { fixed, latencyCells, table } from './table.ts'

/** Calls of a controller before the rounds, as many as are answered, and of a round. */
export type RotationAmounts = { readonly warmUp: number; readonly calls: number }
type Name = 'full' | 'rotating'
/** `answered`: calls of the whole run. `recorded`: decisions in all segments afterwards. */
export type RotationRow = {
  readonly name: Name
  readonly perSecond: number
  readonly rounds: readonly LoadResult[]
  readonly segments: number
  readonly answered: number
  readonly recorded: number
}

type Options = {
  readonly rounds: number
  readonly connections: number
  readonly amounts: { readonly rotation: RotationAmounts }
  readonly set: NodeJS.ProcessEnv
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}
type Target = { readonly name: Name; readonly port: number; readonly pids: Pids; readonly stateDir: string }
type Lab = Stage & { readonly generator: Script; readonly targets: readonly Target[] }

const SERVERS: readonly (Row & { readonly name: Name })[] = [
  { name: 'full', what: '', needs: {}, env: {} },
  { name: 'rotating', what: '', needs: {}, env: { CRANK_AUDIT_SEGMENT_SIZE: '1MiB' } },
]
/** A saturated server measures its queue: half of what it can do, and no more than this. */
const MOST_PER_SECOND = 1000

export async function measureRotation(options: Options): Promise<RotationRow[]> {
  const { rounds, connections, say, stop } = options
  const { warmUp, calls } = options.amounts.rotation
  say('starting two controllers, one of which rotates its audit log all the time …')
  await using lab = await openLab(options, stop)
  const rows = lab.targets.map((target) => ({ target, rounds: [] as LoadResult[], answered: 0 }))
  const load = (row: (typeof rows)[number], requests: number, rate?: number): Promise<LoadResult> => {
    const { port, pids } = row.target
    row.answered += connections + requests
    const job: LoadJob = { port, pids, connections, ramp: connections, requests, ...(rate !== undefined && { rate }) }
    return lab.unlessBroken(lab.generator.ask<LoadResult>(job))
  }
  const peaks: number[] = []
  for (const row of rows) {
    await load(row, warmUp)
    const { requests, seconds } = await load(row, calls)
    peaks.push(requests / seconds)
  }
  const rate = Math.max(1, Math.min(MOST_PER_SECOND, Math.floor(Math.min(...peaks) / 2)))
  for (let round = 1; round <= rounds; round++) {
    // In the other direction in every second round: none is always the first.
    for (const row of round % 2 === 1 ? rows : rows.toReversed()) row.rounds.push(await load(row, calls, rate))
    say(`rotation at ${rate} calls per second, round ${round} of ${rounds} is over`)
  }
  const counted: RotationRow[] = []
  for (const { target, rounds: all, answered } of rows) {
    const log = await lab.unlessBroken(countDecisions(target.stateDir))
    counted.push({ name: target.name, perSecond: rate, rounds: all, answered, ...log })
  }
  return counted
}

function openLab({ set }: Options, stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const worker = await processes.run('worker.ts', identities['worker-hello-world'])
    const generator = await processes.run('generator.ts', identities['worker-streaming'])
    const profile = { cpuProf: undefined, perf: false }
    const place: Place = { processes, dir, identities, workerPort: worker.port, profile, set, nginx: undefined }
    const targets: Target[] = []
    for (const row of SERVERS) {
      const { port, pids } = await startServer(place, row, {})
      targets.push({ name: row.name, port, pids: { ...pids, worker: worker.pid }, stateDir: join(dir, row.name) })
    }
    return { generator, targets }
  })
}

/** A decision is on the disk before its call is answered: nothing to wait for. */
async function countDecisions(stateDir: string): Promise<{ segments: number; recorded: number }> {
  const segments = auditChainsIn(auditDirIn(stateDir)).flatMap((chain) => chain.segments)
  let recorded = 0
  for (const { file } of segments) {
    for await (const { text, complete } of readLines(file))
      if (complete && text.includes('"event":"policy_decision"')) recorded += 1
  }
  return { segments: segments.length, recorded }
}

/** p99 while rotating over that without, of each round. */
export function rotationP99(rows: readonly RotationRow[]): number[] {
  const [still, rotating] = (['full', 'rotating'] as const).map((name) => rows.find((row) => row.name === name))
  return (rotating?.rounds ?? []).flatMap(({ latencyMs }, at) => {
    const other = still?.rounds[at]
    return other === undefined ? [] : latencyMs.p99 / other.latencyMs.p99
  })
}

/** Answered calls without a recorded decision, of each controller. */
export function unrecorded(rows: readonly RotationRow[]): number[] {
  return rows.map(({ answered, recorded }) => answered - recorded)
}

export function rotationTable(rows: readonly RotationRow[]): string[] {
  const [first] = rows
  if (first === undefined) return []
  const cells = rows.map(({ name, rounds, segments, answered, recorded }) => [
    name,
    ...latencyCells(rounds.map(({ latencyMs }) => latencyMs)),
    fixed(median(rounds.map(({ cpuUs }) => cpuUs['controller'] ?? Number.NaN)), 1),
    String(segments),
    String(answered),
    String(recorded),
    rounds.map(({ latencyMs }) => fixed(latencyMs.p99, 2)).join(' '),
  ])
  return [
    `Rotation of the audit log, ${first.perSecond} requests per second: segments of 256 MiB, and of 1 MiB`,
    ...table(
      ['row', 'p50 ms', 'p95 ms', 'p99 ms', 'CPU controller', 'segments', 'answered', 'recorded', 'p99 of every round'],
      cells,
    ),
    '',
  ]
}
