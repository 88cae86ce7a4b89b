// Starts the registry of workers, its copy on disk, the connections to workers, and the timer that finds those without
// heartbeats.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { HostLookupOptions } from '../../platform/host-lookup.ts'
import { createWorkerConnectors, type WorkerConnectors } from '../dispatch/worker-connector.ts'
import { createWorkerPools, type WorkerPools } from '../dispatch/worker-pools.ts'
import { createAwaited, type Awaited } from '../routing/awaited.ts'
import { openHintFile, type HintFile } from '../routing/hint-file.ts'
import { Registry, type WorkerInstance } from '../routing/registry.ts'
import type { Ground } from './ground.ts'

export type StartedWorkers = {
  readonly registry: Registry
  readonly pools: WorkerPools
  readonly connectorFor: WorkerConnectors
  readonly hint: HintFile
  /** The workers of an earlier controller that have not been checked again yet. */
  readonly awaited: Awaited
}

const SWEEP_MS = 500
const HINT_FILE = 'registry.json'

/** `lookup`: resolves a name to its addresses; undefined: `dns.lookup`. Never rejects. */
export async function startWorkers(ground: Ground, lookup: HostLookupOptions['lookup']): Promise<StartedWorkers> {
  const { config, credentials, verifier, now, monotonic, log, opened } = ground
  const { heartbeatIntervalMs, trustDomain, workerHosts: rules } = config
  const connectorFor = createWorkerConnectors({ source: credentials, verifier, rules, monotonic, lookup })
  const pools = opened.adopt(createWorkerPools({ connectorFor, source: credentials }), ({ close }) => close())
  const file = join(config.stateDir, HINT_FILE)
  const hint = opened.adopt(await openHintFile({ file, trustDomain, log }), ({ close }) => close())
  const onGone = (instance: WorkerInstance): void => {
    pools.release(instance)
    hint.forget(instance)
  }
  const registry = new Registry({ heartbeatIntervalMs, monotonic, now, newLease: randomUUID, onGone })
  const sweeper = setInterval(() => registry.sweep(), Math.min(SWEEP_MS, heartbeatIntervalMs))
  opened.defer(() => clearInterval(sweeper))
  return { registry, pools, connectorFor, hint, awaited: createAwaited(hint.found) }
}
