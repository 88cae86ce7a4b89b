// Lets all processes take a changed policy at the same moment: each prepares it, and none uses it before all have done so.

export type PolicyTurns = {
  /** A process serves, with this policy. */
  readonly serves: (slot: number, revision: string) => void
  readonly gone: (slot: number) => void
  /**
   * A process has prepared this policy. `together`: all that serve have. `alone`: another one has not within the wait, and a
   * policy that restricts must not wait for it longer.
   */
  readonly prepared: (slot: number, revision: string) => Promise<'together' | 'alone'>
}

type Waiting = { readonly revision: string; readonly resolve: (how: 'together' | 'alone') => void }

/** Processes notice a change within a second of each other, and prepare it in about the same time. */
const WAIT_MS = 3000

export function createPolicyTurns({ waitMs = WAIT_MS }: { readonly waitMs?: number } = {}): PolicyTurns {
  const revisions = new Map<number, string>()
  const waiting = new Set<Waiting>()
  const look = (): void => {
    for (const one of waiting) {
      if ([...revisions.values()].every((revision) => revision === one.revision)) one.resolve('together')
    }
  }
  return {
    serves(slot, revision) {
      revisions.set(slot, revision)
      look()
    },
    gone(slot) {
      revisions.delete(slot)
      look()
    },
    async prepared(slot, revision) {
      const { promise, resolve } = Promise.withResolvers<'together' | 'alone'>()
      const one = { revision, resolve }
      waiting.add(one)
      const timer = setTimeout(resolve, waitMs, 'alone')
      revisions.set(slot, revision)
      look()
      try {
        return await promise
      } finally {
        clearTimeout(timer)
        waiting.delete(one)
      }
    },
  }
}
