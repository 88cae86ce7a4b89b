// Starts this controller's part of a mesh, if there is one: the process that orders the changes of the registry keeps it.
import { connectNats } from '../../platform/nats/connect-nats.ts'
import { openMesh, type Mesh } from '../mesh/mesh.ts'
import type { RollParts } from '../routing/known-roll.ts'
import { holderOf } from '../routing/registry.ts'
import type { Beat, RollChange } from '../routing/roll.ts'
import type { Ground } from './ground.ts'

type MeshParts = {
  readonly parts: RollParts
  /** Makes a change of another controller, in all processes of this one. */
  readonly apply: (change: RollChange) => void
  readonly beat: (beat: Beat) => void
}

/** Undefined without CRANK_NATS_URL. */
export function startMesh(
  {
    config,
    credentials,
    log,
    monotonic,
    opened,
  }: Pick<Ground, 'config' | 'credentials' | 'log' | 'monotonic' | 'opened'>,
  { parts: { registry, awaited }, apply, beat }: MeshParts,
): Mesh | undefined {
  const { nats: target, heartbeatIntervalMs } = config
  if (target === undefined) return undefined
  const mesh = openMesh({
    connect: () => connectNats({ target, source: credentials, name: config.controllerId }),
    replicas: target.replicas,
    ...{ heartbeatIntervalMs, apply, beat, monotonic, log },
    isKnown: (holder) => registry.holder(holder) !== undefined || awaited.has(holder),
    replacedBy: (holder) => registry.holder(holder)?.replaced ?? new Set(),
    live: () =>
      registry
        .list()
        .filter(({ staleMs }) => staleMs === undefined)
        .map((worker) => ({ holder: holderOf(worker), load: worker.load })),
  })
  return opened.adopt(mesh, (it) => it.close())
}
