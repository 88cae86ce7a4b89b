// Event streams: how long an event takes from the worker to the caller, directly and through the controller.
import { join } from 'node:path'
import type { EventsJob, EventsResult } from './jobs.ts'
import { mintIdentities, POLICY_DIR, startController } from './parties.ts'
import type { Script } from './processes.ts'
import { registerWorker } from './register.ts'
import { setStage, type Stage } from './stage.ts'
import { median } from './statistics.ts'
import { fixed, latencyCells, table } from './table.ts'

/** Per round and way. */
export type EventAmounts = Pick<EventsJob, 'streams' | 'events' | 'intervalMs'>
type Way = 'direct' | 'controller'
export type EventRow = { readonly way: Way; readonly rounds: readonly EventsResult[] }

type Options = {
  readonly rounds: number
  readonly amounts: EventAmounts
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}
type Lab = Stage & { readonly reader: Script; readonly ports: Readonly<Record<Way, number>> }

const PATHS: Record<Way, string> = { direct: '/execute', controller: '/route/invoke/hello_world' }
const WAYS = ['direct', 'controller'] as const

export async function measureEvents({ rounds, amounts, say, stop }: Options): Promise<EventRow[]> {
  say('starting a controller and a worker for events …')
  await using lab = await openLab(stop)
  const read = (way: Way): Promise<EventsResult> =>
    lab.unlessBroken(lab.reader.ask<EventsResult>({ ...amounts, port: lab.ports[way], path: PATHS[way] }))
  const rows = WAYS.map((way) => ({ way, rounds: [] as EventsResult[] }))
  for (const { way } of rows) await read(way)
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) row.rounds.push(await read(row.way))
    say(`events, round ${round} of ${rounds} is over`)
  }
  return rows
}

function openLab(stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const worker = await processes.run('event-worker.ts', identities['worker-hello-world'])
    const reader = await processes.run('event-reader.ts', identities['worker-streaming'])
    const env = { ...identities.controller, CRANK_POLICY_DIR: POLICY_DIR, CRANK_STATE_DIR: join(dir, 'state') }
    const { port } = await startController(processes, {
      name: 'events',
      env: { ...env, CRANK_HEARTBEAT_INTERVAL_MS: '3600000' },
    })
    await registerWorker({ port, workerPort: worker.port, identity: identities['worker-hello-world'] })
    return { reader, ports: { direct: worker.port, controller: port } }
  })
}

/** What the controller adds, in each round. */
function addedMs([direct, through]: readonly EventRow[], rank: 'p50' | 'p95'): number[] {
  return (through?.rounds ?? []).map(
    ({ latencyMs }, at) => latencyMs[rank] - (direct?.rounds[at]?.latencyMs[rank] ?? Number.NaN),
  )
}

/** As a table. */
export function eventTable(rows: readonly EventRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ way, rounds }) => [
    way,
    String(rounds[0]?.events ?? 0),
    ...latencyCells(rounds.map(({ latencyMs }) => latencyMs)),
  ])
  const [p50, p95] = (['p50', 'p95'] as const).map((rank) => fixed(median(addedMs(rows, rank)), 3))
  return [
    'Event streams: from the write of the worker to the caller',
    ...table(['way', 'events a round', 'p50 ms', 'p95 ms', 'p99 ms'], cells),
    `The controller adds ${p50} ms to the median and ${p95} ms to p95 (medians of the rounds)`,
    '',
  ]
}
