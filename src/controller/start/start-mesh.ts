// Starts this controller's part of a mesh, if there is one: the process that orders the changes of the registry keeps it.
import { join } from 'node:path'
import { connectNats } from '../../platform/nats/connect-nats.ts'
import type { BlockSource } from '../../policy/data/block-entry.ts'
import { openBlockList } from '../mesh/block-list.ts'
import { openMesh, type Mesh } from '../mesh/mesh.ts'
import { openStoreLink, type StoreLink } from '../mesh/store-link.ts'
import type { RollParts } from '../routing/known-roll.ts'
import { holderOf } from '../routing/registry.ts'
import type { Beat, RollChange } from '../routing/roll.ts'
import type { Ground } from './ground.ts'

const FIRST_VIEW_MS = 3000
const BLOCKS_FILE = 'mesh-blocks.json'

type StoreGround = Pick<Ground, 'config' | 'credentials' | 'log' | 'monotonic' | 'opened'>

/** The link to the shared store; undefined without CRANK_NATS_URL. */
export function startStoreLink({ config, credentials, log, monotonic, opened }: StoreGround): StoreLink | undefined {
  const { nats: target, controllerId: name } = config
  if (target === undefined) return undefined
  const connect = () => connectNats({ target, source: credentials, name })
  const link = openStoreLink({ connect, replicas: target.replicas, monotonic, log })
  return opened.adopt(link, (it) => it.close())
}

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
}

export function startMesh(
  { config: { heartbeatIntervalMs }, log, monotonic, opened }: Pick<Ground, 'config' | 'log' | 'monotonic' | 'opened'>,
  link: StoreLink,
  { parts: { registry, awaited }, apply, beats }: MeshParts,
): Mesh {
  const mesh = openMesh({
    ...{ link, heartbeatIntervalMs, apply, beats, monotonic, log },
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
