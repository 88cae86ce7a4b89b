// Bodies of 1 MiB, one call after another: through the raw form of a controller, and through nginx as a proxy to the same
// worker. The CPU of the controller is compared with that of nginx; the worker is a Node process and counts for neither.
import { join } from 'node:path'
import type { Pids } from './cpu.ts'
import type { LoadJob, LoadResult } from './jobs.ts'
import { mintIdentities, POLICY_DIR, startController } from './parties.ts'
import type { Script } from './processes.ts'
import { registerWorker } from './register.ts'
import { setStage, type Stage } from './stage.ts'
import { median } from './statistics.ts'
import { fixed, spread, table } from './table.ts'
import { DIRECTIONS, type Direction } from './body-requests.ts'
import type { Nginx } from './peers/find-nginx.ts'
import { startPeer } from './peers/start-peer.ts'

/** One load in each round. */
export type BodyRow = {
  readonly direction: Direction
  readonly controller: readonly LoadResult[]
  /** The server that only forwards: what a body costs without the call around it. */
  readonly forward: readonly LoadResult[]
  readonly nginx: readonly LoadResult[]
}
/** `calls`: small ones before the first body, until V8 has compiled what each call passes. */
export type BodyAmounts = { readonly calls: number; readonly warmUp: number; readonly bodies: number }

type Options = {
  readonly nginx: Nginx
  readonly rounds: number
  /** For the small calls. */
  readonly connections: number
  readonly amounts: BodyAmounts
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}
type Server = { readonly port: number; readonly pids: Pids }
type Lab = Stage & {
  readonly controller: Server
  readonly forward: Server
  readonly nginx: Server
  readonly generator: Script
}

export async function measureBodies({ nginx, rounds, connections, amounts, say, stop }: Options): Promise<BodyRow[]> {
  say('starting a controller, a server that only forwards, and nginx for large bodies …')
  await using lab = await openLab(nginx, stop)
  const load = ({ port, pids }: Server, direction: Direction, requests: number): Promise<LoadResult> =>
    lab.unlessBroken(
      lab.generator.ask<LoadResult>({ port, pids, connections: 1, ramp: 1, requests, bodies: direction }),
    )
  const rows = DIRECTIONS.map((direction) => ({
    direction,
    controller: [] as LoadResult[],
    forward: [] as LoadResult[],
    nginx: [] as LoadResult[],
  }))
  for (const { port, pids } of [lab.controller, lab.forward]) {
    const job: LoadJob = { port, pids, connections, ramp: 0, requests: amounts.calls }
    await lab.unlessBroken(lab.generator.ask<LoadResult>(job))
  }
  for (const { direction } of rows) {
    for (const server of [lab.controller, lab.forward, lab.nginx]) await load(server, direction, amounts.warmUp)
  }
  for (let round = 1; round <= rounds; round++) {
    for (const { direction, controller, forward, nginx: peer } of rows) {
      controller.push(await load(lab.controller, direction, amounts.bodies))
      forward.push(await load(lab.forward, direction, amounts.bodies))
      peer.push(await load(lab.nginx, direction, amounts.bodies))
    }
    say(`bodies, round ${round} of ${rounds} is over`)
  }
  return rows
}

function openLab(nginx: Nginx, stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const identity = identities.controller
    const worker = await processes.run('body-worker.ts', identities['worker-hello-world'])
    const generator = await processes.run('generator.ts', identities['worker-streaming'])
    const env = { ...identity, CRANK_POLICY_DIR: POLICY_DIR, CRANK_HEARTBEAT_INTERVAL_MS: '3600000' }
    const controller = await startController(processes, {
      name: 'bodies',
      env: { ...env, CRANK_STATE_DIR: join(dir, 'state') },
    })
    const forward = await processes.run('forward-only.ts', { ...env, CRANK_STATE_DIR: join(dir, 'forward') })
    for (const { port } of [controller, forward]) {
      await registerWorker({ port, workerPort: worker.port, identity: identities['worker-hello-world'] })
    }
    const peer = await startPeer(processes, { name: 'bodies', nginx, dir, workerPort: worker.port, identity })
    return {
      controller: { port: controller.port, pids: { controller: controller.pid, worker: worker.pid } },
      forward: { port: forward.port, pids: { controller: forward.pid, worker: worker.pid } },
      nginx: { ...peer, pids: { ...peer.pids, worker: worker.pid } },
      generator,
    }
  })
}

/** The CPU of the controller, or of the server that only forwards, over that of nginx, of each round. */
export function bodyRatios(
  rows: readonly BodyRow[],
  direction: Direction,
  server: 'controller' | 'forward' = 'controller',
): number[] {
  const row = rows.find((one) => one.direction === direction)
  return (row?.[server] ?? []).map((load, at) => cpuOf(load) / cpuOf(row?.nginx[at]))
}

function cpuOf(load: LoadResult | undefined): number {
  return load?.cpuUs['controller'] ?? Number.NaN
}

/** As a table. */
export function bodyTable(rows: readonly BodyRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ direction, controller, forward, nginx }) => [
    `1 MiB ${direction}`,
    spread(
      controller.map((load) => load.requests / load.seconds),
      0,
    ),
    spread(controller.map(cpuOf), 0),
    spread(forward.map(cpuOf), 0),
    spread(nginx.map(cpuOf), 0),
    fixed(median(bodyRatios(rows, direction)), 2),
    fixed(median(bodyRatios(rows, direction, 'forward')), 2),
    spread(
      controller.map(({ latencyMs }) => latencyMs.p95),
      1,
    ),
  ])
  return [
    'Bodies through the raw form, one call after another; CPU in us per body',
    ...table(
      ['body', 'per s', 'CPU controller', 'CPU forward', 'CPU nginx', 'ratio', 'forward / nginx', 'p95 ms'],
      cells,
    ),
    '',
  ]
}
