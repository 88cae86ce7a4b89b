// What one process knows of the registered workers, for another one that starts beside it.
import type { Awaited } from './awaited.ts'
import type { RememberedWorker } from './hint-format.ts'
import type { Registration, Registry, Tenure } from './registry.ts'

export type KnownRoll = {
  readonly workers: readonly KnownWorker[]
  readonly awaited: readonly RememberedWorker[]
  /** Ids that an operator has drained. */
  readonly drained: readonly string[]
}

type KnownWorker = {
  readonly registration: Registration
  readonly tenure: Tenure
  readonly replaced: ReadonlySet<string>
  readonly load: number | undefined
  /** Since its last heartbeat: clocks of two processes cannot be compared. */
  readonly silentMs: number
}

export type RollParts = { readonly registry: Registry; readonly awaited: Awaited; readonly monotonic: () => number }

export function knownRollOf({ registry, awaited, monotonic }: RollParts): KnownRoll {
  const nowMs = monotonic()
  return {
    workers: registry.list().map((worker) => {
      const { workerId, spiffeId, origin, capabilities, labels, weight, leaseHash, registeredAt, replaced, load } =
        worker
      return {
        registration: { workerId, spiffeId, origin, capabilities, labels, weight },
        tenure: { leaseHash, registeredAt },
        replaced,
        load,
        silentMs: nowMs - worker.lastSeenMs,
      }
    }),
    awaited: awaited.list(),
    drained: registry.drained(),
  }
}

/** Takes over what is known; called once, on an empty registry. */
export function learnRoll({ workers, awaited: found, drained }: KnownRoll, parts: RollParts): void {
  const { registry, awaited, monotonic } = parts
  for (const id of drained) registry.drain(id)
  for (const { registration, tenure, replaced, load, silentMs } of workers) {
    const instance = registry.restore(registration, tenure, replaced)
    if (instance !== undefined) Object.assign(instance, { load, lastSeenMs: monotonic() - silentMs })
  }
  awaited.add(found)
}
