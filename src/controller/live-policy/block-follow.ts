// The block list by itself: a file that is at fault elsewhere, Rego that compiles for long or a sidecar that is behind never
// delays a block. Only the controller's own list follows; engine, data and revision stay those of the last good set.
import { createReportedFault } from '../../platform/reported-fault.ts'
import type { Blocked } from '../../policy/data/blocked.ts'
import type { PolicyLog } from './guard.ts'
import { blockedDelta } from './policy-delta.ts'
import { loadBlocked } from '../../policy/data/policy-files.ts'
import type { Transition } from './transition.ts'

export type BlockFollow = {
  /** Brings this list into force, recorded, if it is another. Rejects when it cannot be recorded. */
  readonly take: (blocked: Blocked) => Promise<void>
  /** The same with what blocked.json says now, if it is sound. Never rejects. */
  readonly takeFromFolder: () => Promise<void>
  /** Does `work`, and takes the list from the folder when that lasts. */
  readonly during: <T>(work: () => Promise<T>) => Promise<T>
}

type BlockFollowOptions = {
  readonly dir: string
  readonly transition: Transition
  readonly log: PolicyLog
}

/** How long a set may be on its way to being in force before its block list goes ahead of it. */
export const BLOCK_WAIT_MS = 300

export function createBlockFollow({ dir, transition, log }: BlockFollowOptions): BlockFollow {
  const refused = createReportedFault()
  const take = (blocked: Blocked): Promise<void> =>
    transition.move((current) => {
      const changed = blockedDelta(current.files.blocked, blocked)
      if (changed === undefined) return undefined
      return { next: { ...current, files: { ...current.files, blocked } }, changed, scope: 'blocked' }
    })
  const takeFromFolder = async (): Promise<void> => {
    const blocked = await loadBlocked(dir).catch(() => undefined)
    // What is wrong with the file is told with the set that it belongs to.
    if (blocked === undefined) return
    try {
      await take(blocked)
      refused.end()
    } catch (cause: unknown) {
      const reason = String(cause)
      if (!refused.isNews(reason)) return
      log.error({ event: 'policy_block_refused', reason }, 'the block list on disk is not in force')
    }
  }
  return {
    take,
    takeFromFolder,
    async during(work) {
      const timer = setTimeout(() => void takeFromFolder(), BLOCK_WAIT_MS)
      try {
        return await work()
      } finally {
        clearTimeout(timer)
      }
    },
  }
}
