// The parent's side of the store of idempotency keys: which process holds which key, so that the keys of one that dies become
// `unknown` and no other process executes their requests again.
import { AppError } from '../../core/errors.ts'
import type { Begun, Claim, Ending, KeyStore } from '../idempotency/key-store.ts'

export type StoreOfProcess = {
  /** @throws {AppError} `idempotency_unavailable` */
  readonly begin: (claim: Claim) => Promise<Begun>
  readonly end: (claim: Claim, ending: Ending) => Promise<boolean>
  /** The process is gone: nobody knows whether what it held was executed. */
  readonly abandon: () => void
}

/** The store as one process uses it. */
export function storeOfProcess(store: KeyStore): StoreOfProcess {
  const held = new Map<string, Claim>()
  let hasLeft = false
  const isGone = (): boolean => hasLeft
  const giveUp = (claim: Claim): void => void store.end(claim, { to: 'unknown' })
  return {
    async begin(claim) {
      if (isGone()) throw new AppError('idempotency_unavailable')
      const begun = await store.begin(claim)
      if (begun.state !== 'begun') return begun
      // The process may have died while the disk wrote.
      if (isGone()) giveUp(claim)
      else held.set(claim.decisionId, claim)
      return begun
    },
    end(claim, ending) {
      held.delete(claim.decisionId)
      return store.end(claim, ending)
    },
    abandon() {
      hasLeft = true
      for (const claim of held.values()) giveUp(claim)
      held.clear()
    },
  }
}
