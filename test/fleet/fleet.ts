// Three controllers, three NATS servers, sixty workers in three processes, and callers that never stop. Between each controller and
// each NATS server is a link that can be cut.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startFaultProxy, type FaultProxy } from '../../scripts/lab/fault-proxy.ts'
import { freePorts } from '../../scripts/lab/free-port.ts'
import type { NatsCluster, NatsServer } from '../../scripts/lab/nats-server.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createNatsRoads, cut } from '../fixtures/nats-roads.ts'
import { startMeshStore } from '../fixtures/nats.ts'
import { createParties, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { seeded } from '../fixtures/seeded.ts'
import { slotOf } from '../fixtures/audit-log.ts'
import { swarmManifests } from '../fixtures/swarm.ts'
import { until } from '../fixtures/until.ts'
import { startCallers, type Callers } from './callers.ts'
import type { SwarmTally, SwarmTask } from './swarm-main.ts'

export const WORKERS = 60
const CONTROLLERS = 3
const SWARMS = 3
const HEARTBEAT_MS = 1000
const SWARM = 'worker/swarm-0'

export type Controller = {
  readonly name: string
  readonly auditLog: string
  readonly process: () => ControllerProcess
  readonly start: () => Promise<void>
  /** Its links to the NATS servers. */
  readonly links: readonly FaultProxy[]
}

export type WorkerProcess = {
  readonly child: () => ChildProcess
  readonly start: () => Promise<void>
  readonly tally: () => Promise<SwarmTally>
}

export type Fleet = {
  readonly seed: number
  readonly nats: NatsCluster
  readonly parties: Parties
  readonly controllers: readonly Controller[]
  readonly swarms: readonly WorkerProcess[]
  readonly callers: Callers
  /** Cuts the first controller and the first NATS server off from the other controllers' servers. Returns what ends the cut. */
  readonly split: () => Promise<() => Promise<void>>
  /** Cuts a NATS server off from the other servers, and from no controller. Returns what ends the cut. */
  readonly isolate: (server: NatsServer) => Promise<() => Promise<void>>
  /** Whether all controllers say that the store is there. */
  readonly areLinked: () => Promise<boolean>
  /** Milliseconds until every controller has the same live workers, this many. */
  readonly untilEqual: (workers?: number) => Promise<number>
  /** Of the controllers. */
  readonly urls: readonly string[]
  /** The CPU time that a process has used, in ms: all threads, user and system. */
  readonly cpuMs: (controller: Controller) => Promise<number>
  readonly close: () => Promise<void>
}

export async function openFleet(seed: number): Promise<Fleet> {
  const opened = new AsyncDisposableStack()
  const parties = opened.adopt(await createParties(), (it) => it.close())
  const policies = opened.use(await copyPolicies())
  await writeFile(join(policies.dir, 'data/worker_manifests.json'), await swarmManifests(WORKERS))
  const roads = createNatsRoads(seed, opened)
  const nats = opened.use(await startMeshStore(parties, { servers: 3, routePort: roads.routePort }))
  const ports = await freePorts(CONTROLLERS)
  const urls = ports.map((port) => `https://127.0.0.1:${port}`)
  const controllers = await Promise.all(
    ports.map((port, at) => controllerOf({ at, port, parties, policies, nats, seed, opened })),
  )
  await Promise.all(controllers.map((one) => one.start()))
  const swarms = Array.from({ length: SWARMS }, (_, at) => swarmOf({ at, parties, urls, opened }))
  await Promise.all(swarms.map((one) => one.start()))
  const untilEqual = async (workers = WORKERS): Promise<number> => {
    const startMs = performance.now()
    await until(`all controllers have the same ${workers} workers`, () => areEqual(controllers, workers), 60_000)
    return Math.round(performance.now() - startMs)
  }
  await untilEqual()
  const callers = opened.adopt(await startCallers(parties, urls), (it) => it.close())
  const split = () =>
    cut([...roads.of(0), ...controllers[0]!.links.slice(1), ...controllers.slice(1).map(({ links }) => links[0]!)])
  const isolate = (server: NatsServer) => cut(roads.of(nats.servers.indexOf(server)))
  const areLinked = async () => (await Promise.all(controllers.map(isLinked))).every(Boolean)
  const close = () => opened.disposeAsync()
  return {
    seed,
    nats,
    parties,
    controllers,
    swarms,
    callers,
    split,
    isolate,
    areLinked,
    untilEqual,
    urls,
    cpuMs,
    close,
  }
}

async function isLinked(controller: Controller): Promise<boolean> {
  const metrics = await fetch(`${controller.process().adminOrigin}/metrics`)
  return /^controller_mesh_connected 1$/m.test(await metrics.text())
}

/** The clock of /proc ticks a hundred times a second. */
const TICK_MS = 10

async function cpuMs(controller: Controller): Promise<number> {
  const stat = await readFile(`/proc/${controller.process().pid}/stat`, 'latin1')
  // Fields 14 and 15; the second field is the name, which may contain spaces.
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) * TICK_MS
}

type ControllerParts = {
  readonly at: number
  readonly port: number
  readonly parties: Parties
  readonly policies: PolicyDir
  readonly nats: NatsCluster
  readonly seed: number
  readonly opened: AsyncDisposableStack
}

async function controllerOf({ at, port, parties, policies, nats, seed, opened }: ControllerParts): Promise<Controller> {
  const name = `controller-${at + 1}`
  const stateDir = join(parties.dir, name)
  const links = await Promise.all(nats.servers.map((server) => startFaultProxy(server, { seed, random: seeded(seed) })))
  for (const link of links) opened.defer(() => link.close())
  let running: ControllerProcess | undefined
  opened.defer(async () => {
    running?.child.kill('SIGCONT')
    if (running?.child.exitCode === null && running.child.signalCode === null) await running.stop('SIGTERM')
  })
  return {
    name,
    links,
    auditLog: slotOf(stateDir, 0),
    process() {
      if (running === undefined) throw new Error(`${name} has not been started`)
      return running
    },
    async start() {
      running = await startControllerProcess({
        ...(await parties.tlsEnv('controller')),
        CRANK_PORT: String(port),
        CRANK_STATE_DIR: stateDir,
        CRANK_POLICY_DIR: policies.dir,
        CRANK_NATS_URL: links.map((link) => `tls://127.0.0.1:${link.port}`).join(),
        CRANK_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_MS),
        CRANK_LAME_DUCK_MS: '1000',
      })
    },
  }
}

type SwarmParts = {
  readonly at: number
  readonly parties: Parties
  readonly urls: readonly string[]
  readonly opened: AsyncDisposableStack
}

function swarmOf({ at, parties, urls, opened }: SwarmParts): WorkerProcess {
  let child: ChildProcess
  opened.defer(() => void child.kill('SIGKILL'))
  const ask = async (message: SwarmTask | 'tally'): Promise<SwarmTally> => {
    const answered = once(child, 'message')
    child.send(message)
    const [tally] = (await answered) as [SwarmTally]
    return tally
  }
  return {
    child: () => child,
    async start() {
      child = fork(new URL('swarm-main.ts', import.meta.url), { env: { PATH: process.env['PATH'] } })
      await ask({
        controllers: urls,
        first: (at * WORKERS) / SWARMS,
        count: WORKERS / SWARMS,
        issued: await parties.identity(SWARM),
        files: await parties.filesOf(SWARM),
        caPem: parties.ca.certPem,
      })
    },
    tally: () => ask('tally'),
  }
}

async function areEqual(controllers: readonly Controller[], workers: number): Promise<boolean> {
  const views = await Promise.all(controllers.map((one) => viewOf(one).catch(() => '')))
  return views.every((view) => view === views[0] && view.split('\n').length === workers)
}

/** The live workers of a controller: their ids and addresses. */
async function viewOf(controller: Controller): Promise<string> {
  const seen: string[] = []
  let next = `/workers?limit=100`
  while (next !== '') {
    const answer = await fetch(`${controller.process().adminOrigin}${next}`, { signal: AbortSignal.timeout(2000) })
    const { workers, next_cursor: cursor } = (await answer.json()) as {
      workers: { worker_id: string; worker_url: string; state: string }[]
      next_cursor?: string | null
    }
    seen.push(...workers.filter(({ state }) => state === 'live').map((one) => `${one.worker_id} ${one.worker_url}`))
    next = typeof cursor === 'string' ? `/workers?limit=100&cursor=${encodeURIComponent(cursor)}` : ''
  }
  return seen.sort().join('\n')
}
