// Starts the registry of workers, the connections to them, and the timer that finds workers without heartbeats.
import { randomUUID } from 'node:crypto'
import type { HostLookupOptions } from '../../platform/host-lookup.ts'
import { createWorkerConnectors, type WorkerConnectors } from '../dispatch/worker-connector.ts'
import { createWorkerPools, type WorkerPools } from '../dispatch/worker-pools.ts'
import { Registry, type WorkerInstance } from '../routing/registry.ts'
import { WaitingRoom } from '../routing/waiting-room.ts'
import type { Ground } from './ground.ts'

export type StartedWorkers = {
  readonly registry: Registry
  /** Calls that wait for a worker. */
  readonly room: WaitingRoom
  /** False for a worker that must get no calls now, although it is live. */
  readonly isOpen: (worker: WorkerInstance) => boolean
  readonly pools: WorkerPools
  readonly connectorFor: WorkerConnectors
}

const SWEEP_MS = 500
/** Bounds of memory, not of time: each call has its own deadline. */
const WAITING = { perCapability: 1000, inAll: 10_000, bytes: 64 * 1024 * 1024 }
const isOpen = (): boolean => true

/** `lookup`: resolves a name to its addresses; undefined: `dns.lookup`. */
export function startWorkers(ground: Ground, lookup: HostLookupOptions['lookup']): StartedWorkers {
  const { config, credentials, verifier, now, monotonic, opened } = ground
  const { heartbeatIntervalMs, workerHosts: rules } = config
  const connectorFor = createWorkerConnectors({ source: credentials, verifier, rules, monotonic, lookup })
  const pools = opened.adopt(createWorkerPools({ connectorFor }), ({ close }) => close())
  const registry = new Registry({
    heartbeatIntervalMs,
    monotonic,
    now,
    newLease: randomUUID,
    onGone: pools.release,
    onLive: (worker) => room.opened(worker),
    onNotLive: (worker) => room.closed(worker),
  })
  const groupOf = registry.group.bind(registry)
  const room = opened.adopt(new WaitingRoom({ groupOf, isOpen, monotonic, limits: WAITING }), (it) => it.close())
  const sweeper = setInterval(() => registry.sweep(), Math.min(SWEEP_MS, heartbeatIntervalMs))
  opened.defer(() => clearInterval(sweeper))
  return { registry, room, isOpen, pools, connectorFor }
}
