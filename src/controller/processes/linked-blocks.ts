// The block list of the mesh in a process that serves: the parent has the link to the store, and tells what it knows.
import { createListeners } from '../../platform/listeners.ts'
import type { Logger } from '../../platform/logger.ts'
import type { BlockSource, KnownBlocks } from '../../policy/data/block-entry.ts'

type LinkedBlocks = {
  readonly source: BlockSource
  /** The parent tells the whole list. */
  readonly told: (known: KnownBlocks) => void
}

export function createLinkedBlocks(log: Pick<Logger, 'error'>): LinkedBlocks {
  const listeners = createListeners<[]>((err) =>
    log.error({ event: 'mesh_blocks_failed', err }, 'the block list of the mesh could not be handed on'),
  )
  let known: KnownBlocks = { entries: undefined, isCurrent: false }
  return {
    source: { known: () => known, onChange: listeners.add },
    told(next) {
      known = next
      listeners.notify()
    },
  }
}
