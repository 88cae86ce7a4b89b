// Starts the registry of workers, the connections to them, and the timer that finds workers without heartbeats.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { HostLookupOptions } from '../../platform/host-lookup.ts'
import type { Logger } from '../../platform/logger.ts'
import { createListeners } from '../../platform/listeners.ts'
import { createYoungCollections } from '../../platform/young-collections.ts'
import type { ControllerConfig } from '../config.ts'
import { createHealthProbe, type HealthProbe } from '../dispatch/probe.ts'
import { createWorkerConnectors, type WorkerConnectors } from '../dispatch/worker-connector.ts'
import { createWorkerPools, type WorkerPools } from '../dispatch/worker-pools.ts'
import { hasCertificate, refusingBlocked } from '../identity/blocked-certificates.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import type { MeshHealth } from '../mesh/mesh.ts'
import { overMesh } from '../processes/mesh-roll.ts'
import { createWorkerStateMetrics } from '../metrics/worker-state-metrics.ts'
import { createAwaited, type Awaited } from '../routing/awaited.ts'
import { isOpen } from '../routing/condition.ts'
import { openHintFile, type HintFile } from '../routing/hint-file.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'
import { Registry, type Holder, type WorkerInstance } from '../routing/registry.ts'
import { createRoll, type Beat } from '../routing/roll.ts'
import { standingOf, type StateChange } from '../routing/standing.ts'
import { startSweeper } from '../routing/sweeper.ts'
import { WaitingRoom } from '../routing/waiting-room.ts'
import { WorkerHealth } from '../routing/worker-health.ts'
import { unshared, type SharedRoll } from '../processes/siblings.ts'
import type { Ground } from './ground.ts'
import { partOf } from './part-of.ts'
import { firstViewMs, startMesh } from './start-mesh.ts'

export type StartedWorkers = {
  readonly registry: Registry
  /** Calls that wait for a worker. */
  readonly room: WaitingRoom
  readonly health: WorkerHealth
  /** Whether a registered worker answers now. */
  readonly isThere: HealthProbe
  readonly pools: WorkerPools
  readonly connectorFor: WorkerConnectors
  readonly roll: SharedRoll
  /** The workers that this controller has not checked yet: of an earlier one, or of another one of the mesh. */
  readonly awaited: Awaited
  /** Calls `listener` for each worker that another controller of the mesh has registered. */
  readonly onLearned: (listener: (worker: RememberedWorker) => void) => void
  /** How the link to the shared store is; undefined: there is no mesh. */
  readonly meshHealth: () => MeshHealth | undefined
  /** Whether the mesh has exactly this registration; without one, or where the parent has the link to it: no. */
  readonly isVouchedFor: (holder: Holder) => boolean
  /** When the worker of this name registered last, as far as that is known. */
  readonly registeredAt: (worker: Pick<WorkerInstance, 'spiffeId' | 'workerId'>) => string | undefined
}

const HINT_FILE = 'registry.json'
/** Bounds of memory, not of time: each call has its own deadline. */
const WAITING = { perCapability: 1000, inAll: 10_000, bytes: 64 * 1024 * 1024 }

/** `lookup`: resolves a name to its addresses; undefined: `dns.lookup`. @throws when there are other processes, and the parent is gone */
export async function startWorkers(
  ground: Ground,
  policy: LivePolicy,
  lookup: HostLookupOptions['lookup'],
): Promise<StartedWorkers> {
  const { config, monotonic, log, opened, siblings } = ground
  const { heartbeatIntervalMs } = config
  const { connectorFor, pools } = connectionsFrom(ground, policy, lookup)
  const part = (limit: number): number => partOf(limit, siblings)
  // Where there are several processes, the parent keeps it.
  const hint = siblings === undefined ? opened.adopt(await openHint(config, log), ({ close }) => close()) : undefined
  const report = createReporter(ground)
  const registry = new Registry({
    processId: randomUUID(),
    heartbeatIntervalMs,
    part,
    // The parent says when one is gone: processes that disagreed would stay different.
    removes: siblings === undefined,
    monotonic,
    onGone(instance) {
      health.forget(instance)
      pools.release(instance)
      hint?.forget(instance)
    },
    onLive: (worker) => room.opened(worker),
    onNotLive: (worker) => room.closed(worker),
    onChange: report,
  })
  const groupOf = registry.group.bind(registry)
  const room = opened.adopt(new WaitingRoom({ groupOf, isOpen, monotonic, limits: partsOf(WAITING, part) }), (it) =>
    it.close(),
  )
  const isThere = createHealthProbe({ connectorFor })
  const health = opened.adopt(
    new WorkerHealth({
      groupOf,
      probe: isThere,
      onChange(change) {
        // Stale or drained: that is what operators see.
        if (!change.worker.isListed) return
        report(change)
        followHealth({ registry, room }, change)
      },
      monotonic,
      random: Math.random,
    }),
    (it) => it.close(),
  )
  opened.use(startSweeper({ registry, heartbeatIntervalMs, monotonic }))
  const rolled = await startRoll(ground, registry, hint)
  return { registry, room, health, isThere, pools, connectorFor, ...rolled }
}

/** Who is registered, as this process, its siblings and the mesh change it. */
async function startRoll(
  ground: Ground,
  registry: Registry,
  hint: HintFile | undefined,
): Promise<Pick<StartedWorkers, 'roll' | 'awaited' | 'onLearned' | 'meshHealth' | 'isVouchedFor' | 'registeredAt'>> {
  const { monotonic, log, siblings, store } = ground
  const awaited = createAwaited(hint?.found ?? [])
  const learned = createListeners<[RememberedWorker]>((err) =>
    log.error({ event: 'worker_not_taken_over', err }, 'a worker of another controller could not be looked at'),
  )
  const own = createRoll({ registry, awaited, hint, onLearned: learned.notify })
  const parts = { registry, awaited, monotonic }
  const beats = (told: readonly Beat[]): void => told.forEach(own.beat)
  const mesh = store && startMesh(ground, store, { parts, apply: own.apply, beats })
  const roll = siblings === undefined ? unshared(own) : await siblings.follow(own, parts)
  if (ground.store !== undefined) await mesh?.viewed(firstViewMs(ground.store))
  return {
    roll: mesh === undefined ? roll : overMesh(roll, mesh),
    ...{ awaited, onLearned: learned.add },
    meshHealth: () => mesh?.health() ?? siblings?.meshHealth(),
    isVouchedFor: (holder) => mesh?.vouchesFor(holder) === true,
    registeredAt: (worker) => latest([registry.named(worker)?.registeredAt, awaited.named(worker)?.registeredAt]),
  }
}

/** Times as ISO 8601, which sort as text. */
function latest(times: readonly (string | undefined)[]): string | undefined {
  return times
    .filter((time) => time !== undefined)
    .sort()
    .at(-1)
}

/** The connections to workers. A blocked certificate is refused there, too. */
function connectionsFrom(
  { config, credentials, verifier, monotonic, opened }: Ground,
  policy: LivePolicy,
  lookup: HostLookupOptions['lookup'],
): Pick<StartedWorkers, 'connectorFor' | 'pools'> {
  const outgoing = refusingBlocked(
    { source: credentials, verifier },
    {
      isBlocked: (peer) => hasCertificate(policy.files().blocked.certificates, peer),
      onChange: policy.onChange,
    },
  )
  const connectorFor = createWorkerConnectors({ ...outgoing, rules: config.workerHosts, monotonic, lookup })
  const pools = opened.adopt(
    createWorkerPools({ connectorFor, source: outgoing.source, monotonic, onBytes: createYoungCollections() }),
    ({ close }) => close(),
  )
  return { connectorFor, pools }
}

function partsOf(limits: typeof WAITING, part: (limit: number) => number): typeof WAITING {
  const { perCapability, inAll, bytes } = limits
  return { perCapability: part(perCapability), inAll: part(inAll), bytes: part(bytes) }
}

/** The registry on disk. One process keeps it: this one, or the parent of several. Never rejects. */
export function openHint({ stateDir, trustDomain }: ControllerConfig, log: Logger): Promise<HintFile> {
  return openHintFile({ file: join(stateDir, HINT_FILE), trustDomain, log })
}

/** Says what has changed, and lets the calls that wait take notice. */
function createReporter({ log, metricsRegistry }: Ground) {
  const metrics = createWorkerStateMetrics(metricsRegistry)
  return ({ worker, from, cause }: StateChange): void => {
    const { state: to } = standingOf(worker)
    metrics.changed(to, cause)
    const { workerId: worker_id, spiffeId: spiffe_id } = worker
    const level = to === 'suspect' || to === 'ejected' || to === 'stale' ? 'warn' : 'info'
    const fields = { event: 'worker_state_changed', worker_id, spiffe_id, from, to, cause }
    log[level](fields, 'the state of a worker has changed')
  }
}

function followHealth(
  { registry, room }: Pick<StartedWorkers, 'registry' | 'room'>,
  { worker, from }: StateChange,
): void {
  const { state } = worker.condition
  if (state === 'live' || state === 'half_open') {
    if (state === 'live' && from !== 'suspect') registry.startSlowly(worker)
    room.opened(worker)
  }
  // Where all that fit are closed, a call that waits may get any of them.
  else for (const capability of worker.capabilities.keys()) room.serve(capability)
}
