// The workers that an earlier controller knew and this one has not checked yet. They get no calls, but their heartbeats are
// accepted, so that a thousand of them need not register again at once.
import { hashOfLease } from './lease.ts'
import type { RememberedWorker } from './hint-format.ts'
import { keyOf, type LeaseClaim } from './registry.ts'

export type Awaited = {
  readonly list: () => readonly RememberedWorker[]
  /** Whether the claim has the lease of an awaited worker. */
  readonly owns: (claim: LeaseClaim) => boolean
  readonly has: (worker: RememberedWorker) => boolean
  /** This worker is awaited no more. False if that was so before. */
  readonly settle: (worker: Pick<RememberedWorker, 'spiffeId'> & { body: { worker_id: string } }) => boolean
  /** The worker leaves by itself: who it was, if the claim has its lease. */
  readonly withdraw: (claim: LeaseClaim) => RememberedWorker | undefined
}

export function createAwaited(found: readonly RememberedWorker[]): Awaited {
  const workers = new Map(found.map((worker) => [keyOfWorker(worker), worker]))
  const owned = (claim: LeaseClaim): RememberedWorker | undefined => {
    if (workers.size === 0) return undefined
    const worker = workers.get(keyOf(claim))
    return worker?.leaseHash === hashOfLease(claim.lease) ? worker : undefined
  }
  return {
    list: () => [...workers.values()],
    owns: (claim) => owned(claim) !== undefined,
    has: (worker) => workers.get(keyOfWorker(worker)) === worker,
    settle: (worker) => workers.delete(keyOfWorker(worker)),
    withdraw(claim) {
      const worker = owned(claim)
      if (worker !== undefined) workers.delete(keyOfWorker(worker))
      return worker
    },
  }
}

function keyOfWorker({ spiffeId, body }: Parameters<Awaited['settle']>[0]): string {
  return keyOf({ spiffeId, workerId: body.worker_id })
}
