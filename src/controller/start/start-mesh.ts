// Starts this controller's part of a mesh, if there is one: the process that orders the changes of the registry keeps it.
import { connectNats } from '../../platform/nats/connect-nats.ts'
import { createMeshMetrics } from '../metrics/mesh-metrics.ts'
import { openMesh, type Mesh, type MeshHealth } from '../mesh/mesh.ts'
import { openStoreLink, type StoreLink } from '../mesh/store-link.ts'
import type { RollParts } from '../routing/known-roll.ts'
import { holderOf } from '../routing/registry.ts'
import type { Beat, RollChange } from '../routing/roll.ts'
import type { Ground } from './ground.ts'

type StoreGround = Pick<Ground, 'config' | 'credentials' | 'log' | 'monotonic' | 'opened'>

/** The link to the shared store; undefined without CRANK_NATS_URL. */
export function startStoreLink({ config, credentials, log, monotonic, opened }: StoreGround): StoreLink | undefined {
  const { nats: target, controllerId: name } = config
  if (target === undefined) return undefined
  const connect = () => connectNats({ target, source: credentials, name })
  const link = openStoreLink({ connect, replicas: target.replicas, monotonic, log })
  // NATS does not look at a certificate again: the connection must not outlive it.
  credentials.onChange(link.renew)
  return opened.adopt(link, (it) => it.close())
}

type MeshParts = {
  readonly parts: RollParts
  /** Makes a change of another controller, in all processes of this one. */
  readonly apply: (change: RollChange) => void
  readonly beats: (beats: readonly Beat[]) => void
  /** Called every second with the state of the link. */
  readonly meshHealth?: (health: MeshHealth) => void
}

export function startMesh(
  {
    config: { heartbeatIntervalMs },
    log,
    monotonic,
    opened,
    metricsRegistry,
  }: Pick<Ground, 'config' | 'log' | 'monotonic' | 'opened' | 'metricsRegistry'>,
  link: StoreLink,
  { parts: { registry, awaited }, apply, beats, meshHealth }: MeshParts,
): Mesh {
  const mesh = openMesh({
    ...(meshHealth !== undefined && { onHealth: meshHealth }),
    ...{ link, heartbeatIntervalMs, apply, beats, monotonic, log },
    isKnown: (holder) => registry.holder(holder) !== undefined || awaited.has(holder),
    replacedBy: (holder) => registry.holder(holder)?.replaced ?? new Set(),
    live: () =>
      registry
        .list()
        .filter(({ staleMs }) => staleMs === undefined)
        .map((worker) => ({ holder: holderOf(worker), load: worker.load })),
  })
  createMeshMetrics(metricsRegistry, mesh.health)
  return opened.adopt(mesh, (it) => it.close())
}
