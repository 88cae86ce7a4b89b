// The public view of the registry: the answers of GET /workers and GET /capabilities, in pages.
import { isoTime } from '../../core/iso-time.ts'
import type { Capability } from '../../core/capability.ts'
import type { CapabilitiesReply, CapabilityEntry, CatalogQuery, WorkerEntry, WorkersReply } from '../../core/wire.ts'
import { pageOf, parsePage } from './page.ts'
import type { Registry, WorkerInstance } from './registry.ts'
import { standingOf } from './standing.ts'

type WorkersView = {
  /** Converts the registry's monotonic milliseconds into Unix milliseconds. */
  readonly clock: (monotonicMs: number) => number
  readonly withUrls: boolean
}

/** Sorted by worker id. @throws {AppError} `request_invalid` for an invalid page */
export function describeWorkers(registry: Registry, view: WorkersView, query: CatalogQuery): WorkersReply {
  // The key has both: a worker id belongs to one SPIFFE ID, unless the policy allows more.
  const all = registry.list().map((worker) => [`${worker.workerId} ${worker.spiffeId}`, worker] as const)
  const { entries, ...next } = pageOf(all, parsePage(query))
  return { workers: entries.map((worker) => describeWorker(worker, view)), ...next }
}

/** Live capabilities, sorted by name. @throws like describeWorkers */
export function describeCapabilities(
  registry: Registry,
  { clock }: Pick<WorkersView, 'clock'>,
  query: CatalogQuery,
): CapabilitiesReply {
  const live = [...registry.capabilities()].map((entry) => [entry[0] as string, entry] as const)
  const { entries, ...next } = pageOf(live, parsePage(query))
  return {
    capabilities: entries.flatMap(([capability, { workers }]) => describeCapability(capability, workers, clock)),
    ...next,
  }
}

function describeWorker(worker: WorkerInstance, { clock, withUrls }: WorkersView): WorkerEntry {
  return {
    worker_id: worker.workerId,
    spiffe_id: worker.spiffeId,
    ...describeStanding(worker, clock),
    capabilities: [...worker.capabilities].map(([capability, { version }]) => ({ capability, version })),
    labels: Object.fromEntries(worker.labels),
    weight: worker.weight,
    in_flight: worker.inFlight,
    ...(worker.load === undefined ? {} : { load: worker.load }),
    registered_at: worker.registeredAt,
    last_heartbeat_at: isoTime(clock(worker.lastSeenMs)),
    ...(withUrls ? { worker_url: worker.origin } : {}),
  }
}

function describeStanding(
  worker: WorkerInstance,
  clock: WorkersView['clock'],
): Pick<WorkerEntry, 'state' | 'cause' | 'since'> {
  const { state, cause, sinceMs } = standingOf(worker)
  return { state, cause, since: isoTime(clock(sinceMs)) }
}

function describeCapability(
  capability: Capability,
  workers: readonly WorkerInstance[],
  clock: WorkersView['clock'],
): CapabilityEntry[] {
  const schemas = workers.flatMap((worker) => worker.capabilities.get(capability) ?? [])
  const [schema] = schemas.sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))
  if (schema === undefined) return []
  const providers = workers.map((worker) => ({
    worker_id: worker.workerId,
    spiffe_id: worker.spiffeId,
    version: worker.capabilities.get(capability)?.version ?? schema.version,
    ...describeStanding(worker, clock),
  }))
  return [{ capability, providers, schema }]
}
