// The registry as others may see it: the answers of GET /workers and GET /capabilities.
import type { Capability } from '../../core/capability.ts'
import type { CapabilitiesReply, CapabilityEntry, WorkerEntry, WorkersReply } from '../../core/wire.ts'
import type { Registry, WorkerInstance } from './registry.ts'

/** @param clock turns the registry's monotonic milliseconds into a time of the day. */
export function describeWorkers(
  registry: Registry,
  clock: (monotonicMs: number) => number,
  options: { withUrls: boolean },
): WorkersReply {
  const workers = registry.list().map((worker): WorkerEntry => ({
    worker_id: worker.workerId,
    spiffe_id: worker.spiffeId,
    state: worker.state,
    capabilities: [...worker.capabilities].map(([capability, { version }]) => ({ capability, version })),
    in_flight: worker.inFlight,
    ...(worker.load === undefined ? {} : { load: worker.load }),
    registered_at: worker.registeredAt,
    last_heartbeat_at: new Date(clock(worker.lastSeenMs)).toISOString(),
    ...(options.withUrls ? { worker_url: worker.origin } : {}),
  }))
  return { workers }
}

/** Live capabilities in the order of their names. */
export function describeCapabilities(registry: Registry): CapabilitiesReply {
  const live = [...registry.capabilities()].sort(([a], [b]) => (a < b ? -1 : 1))
  return { capabilities: live.flatMap(([capability, workers]) => describeCapability(capability, workers)) }
}

function describeCapability(capability: Capability, workers: readonly WorkerInstance[]): CapabilityEntry[] {
  const schemas = workers.flatMap((worker) => worker.capabilities.get(capability) ?? [])
  const [schema] = schemas.sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))
  if (schema === undefined) return []
  const providers = workers.map((worker) => ({
    worker_id: worker.workerId,
    spiffe_id: worker.spiffeId,
    version: worker.capabilities.get(capability)?.version ?? schema.version,
    state: worker.state,
  }))
  return [{ capability, providers, schema }]
}
