// Starts the registry of workers, the connections to them, and the timer that finds workers without heartbeats.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { HostLookupOptions } from '../../platform/host-lookup.ts'
import { createWorkerConnectors, type WorkerConnectors } from '../dispatch/worker-connector.ts'
import { createWorkerPools, type WorkerPools } from '../dispatch/worker-pools.ts'
import { hasCertificate, refusingBlocked } from '../identity/blocked-certificates.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import { createAwaited, type Awaited } from '../routing/awaited.ts'
import { openHintFile, type HintFile } from '../routing/hint-file.ts'
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
  readonly hint: HintFile
  /** The workers of an earlier controller that have not been checked again yet. */
  readonly awaited: Awaited
}

const SWEEP_MS = 500
const HINT_FILE = 'registry.json'
/** Bounds of memory, not of time: each call has its own deadline. */
const WAITING = { perCapability: 1000, inAll: 10_000, bytes: 64 * 1024 * 1024 }
const isOpen = (): boolean => true

/** `lookup`: resolves a name to its addresses; undefined: `dns.lookup`. Never rejects. */
export async function startWorkers(
  ground: Ground,
  policy: LivePolicy,
  lookup: HostLookupOptions['lookup'],
): Promise<StartedWorkers> {
  const { config, credentials, verifier, now, monotonic, log, opened } = ground
  const { heartbeatIntervalMs, trustDomain, workerHosts: rules } = config
  const outgoing = refusingBlocked(
    { source: credentials, verifier },
    {
      isBlocked: (peer) => hasCertificate(policy.files().blocked.certificates, peer),
      onChange: policy.onChange,
    },
  )
  const connectorFor = createWorkerConnectors({ ...outgoing, rules, monotonic, lookup })
  const pools = opened.adopt(createWorkerPools({ connectorFor, source: outgoing.source }), ({ close }) => close())
  const file = join(config.stateDir, HINT_FILE)
  const hint = opened.adopt(await openHintFile({ file, trustDomain, log }), ({ close }) => close())
  const registry = new Registry({
    heartbeatIntervalMs,
    monotonic,
    now,
    newLease: randomUUID,
    onGone(instance) {
      pools.release(instance)
      hint.forget(instance)
    },
    onLive: (worker) => room.opened(worker),
    onNotLive: (worker) => room.closed(worker),
  })
  const groupOf = registry.group.bind(registry)
  const room = opened.adopt(new WaitingRoom({ groupOf, isOpen, monotonic, limits: WAITING }), (it) => it.close())
  const sweeper = setInterval(() => registry.sweep(), Math.min(SWEEP_MS, heartbeatIntervalMs))
  opened.defer(() => clearInterval(sweeper))
  return { registry, room, isOpen, pools, connectorFor, hint, awaited: createAwaited(hint.found) }
}
