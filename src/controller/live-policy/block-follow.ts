// Follows the block list on its own: a fault in another file, a slow compilation or a sidecar that is behind never delays a
// block. Only the controller's own list changes; engine, data and revision stay those of the last good policy.
import { createReportedFault } from '../../platform/reported-fault.ts'
import type { Blocked } from '../../policy/data/blocked.ts'
import type { PolicyLog } from './guard.ts'
import { blockedDelta } from './policy-delta.ts'
import { loadBlocked, withBlocked } from '../../policy/data/policy-files.ts'
import type { Transition } from './transition.ts'

export type BlockFollow = {
  /** Records this list and brings it into force, if it differs. Rejects when it cannot be recorded. */
  readonly take: (blocked: Blocked) => Promise<void>
  /** The same with the current blocked.json, if it is valid. Never rejects. */
  readonly takeFromFolder: () => Promise<void>
  /** Runs `work`, and takes the list from the folder now and then if that takes long. */
  readonly during: <T>(work: () => Promise<T>) => Promise<T>
}

type BlockFollowOptions = {
  readonly dir: string
  readonly transition: Transition
  readonly log: PolicyLog
}

/** While new policy files take time to come into force, the block list on disk is taken this often. */
export const BLOCK_WAIT_MS = 300

export function createBlockFollow({ dir, transition, log }: BlockFollowOptions): BlockFollow {
  const refused = createReportedFault()
  const take = (blocked: Blocked): Promise<void> =>
    transition.move((current) => {
      const changed = blockedDelta(current.files.blocked, blocked)
      if (changed === undefined) return undefined
      return { next: { ...current, files: withBlocked(current.files, blocked) }, changed, scope: 'blocked' }
    })
  const takeFromFolder = async (): Promise<void> => {
    const blocked = await loadBlocked(dir).catch(() => undefined)
    // A fault of the file is reported together with the policy files.
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
      const timer = setInterval(() => void takeFromFolder(), BLOCK_WAIT_MS)
      try {
        return await work()
      } finally {
        clearInterval(timer)
      }
    },
  }
}
