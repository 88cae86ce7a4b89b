// The workers that an earlier controller knew and this one has not checked yet. They get no calls, but their heartbeats are
// accepted, so that a thousand of them need not register again at once.
import { hashOfLease } from './lease.ts'
import type { RememberedWorker } from './hint-format.ts'
import { keyOf, type Holder, type LeaseClaim, type Registration } from './registry.ts'

export type Awaited = {
  readonly add: (found: readonly RememberedWorker[]) => void
  readonly list: () => readonly RememberedWorker[]
  /** The awaited worker that has the lease of the claim. */
  readonly owned: (claim: LeaseClaim) => Holder | undefined
  readonly has: (holder: Holder) => boolean
  /** Exactly this worker is awaited no more. False if that was so before. */
  readonly forget: (holder: Holder) => boolean
  /** As `forget`; what was remembered of it. */
  readonly take: (holder: Holder) => RememberedWorker | undefined
  /** The awaited worker of this name. */
  readonly named: (worker: Pick<Registration, 'spiffeId' | 'workerId'>) => RememberedWorker | undefined
  /** A worker of this name has registered: the old one is awaited no more. */
  readonly replaced: (registration: Pick<Registration, 'spiffeId' | 'workerId'>) => void
}

export function createAwaited(found: readonly RememberedWorker[]): Awaited {
  const workers = new Map(found.map((worker) => [keyOf(rememberedHolder(worker)), worker]))
  const has = (holder: Holder): boolean => workers.get(keyOf(holder))?.leaseHash === holder.leaseHash
  return {
    add(more) {
      for (const worker of more) workers.set(keyOf(rememberedHolder(worker)), worker)
    },
    list: () => [...workers.values()],
    owned({ lease, ...claim }) {
      // Nearly always.
      if (workers.size === 0) return undefined
      const holder = { ...claim, leaseHash: hashOfLease(lease) }
      return has(holder) ? holder : undefined
    },
    has,
    forget: (holder) => has(holder) && workers.delete(keyOf(holder)),
    take(holder) {
      const worker = has(holder) ? workers.get(keyOf(holder)) : undefined
      if (worker !== undefined) workers.delete(keyOf(holder))
      return worker
    },
    named: (worker) => workers.get(keyOf(worker)),
    replaced: (registration) => void workers.delete(keyOf(registration)),
  }
}

/** A remembered worker as the registry names it. */
export function rememberedHolder({ spiffeId, leaseHash, body }: RememberedWorker): Holder {
  return { spiffeId, workerId: body.worker_id, leaseHash }
}
