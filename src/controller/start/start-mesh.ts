// Starts this controller's part of a mesh, if there is one: the process that orders the changes of the registry keeps it.
import { join } from 'node:path'
import type { BlockSource } from '../../policy/data/block-entry.ts'
import { createMeshMetrics } from '../metrics/mesh-metrics.ts'
import { openBlockList } from '../mesh/block-list.ts'
import { openMesh, type Mesh, type MeshHealth } from '../mesh/mesh.ts'
import type { StoreLink } from '../store/store-link.ts'
import type { RollParts } from '../routing/known-roll.ts'
import { holderOf } from '../routing/registry.ts'
import type { Beat, RollChange } from '../routing/roll.ts'
import type { Ground } from './ground.ts'

const FIRST_VIEW_MS = 3000
const BLOCKS_FILE = 'mesh-blocks.json'

/** How long a start still waits for what the others know: three seconds from the beginning of the link. */
export function firstViewMs(link: Pick<StoreLink, 'awayMs'>): number {
  return Math.max(0, FIRST_VIEW_MS - (link.awayMs() ?? 0))
}

/** The blocks of the mesh in the process that has the link to the store. */
export async function openBlocks({ config, log, opened }: Pick<Ground, 'config' | 'log' | 'opened'>, link: StoreLink) {
  const file = join(config.stateDir, BLOCKS_FILE)
  const list = opened.adopt(await openBlockList({ link, file, log }), (it) => it.close())
  await list.viewed(firstViewMs(link))
  return list
}

/** The blocks of the mesh; undefined: there is none. */
export async function startBlocks(ground: Ground): Promise<BlockSource | undefined> {
  const { siblings, store } = ground
  if (siblings !== undefined) return siblings.blocks()
  return store && openBlocks(ground, store)
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
