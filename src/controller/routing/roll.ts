// Every change of who is registered, as a message: one process applies it at once, several apply the same ones in one order.
import type { RegisterBody } from '../../core/wire.ts'
import { rememberedHolder, type Awaited } from './awaited.ts'
import type { HintFile } from './hint-file.ts'
import type { RememberedWorker } from './hint-format.ts'
import type { Holder, Registration, Registry, Tenure } from './registry.ts'

export type RollChange =
  | {
      readonly kind: 'registered'
      readonly registration: Registration
      readonly tenure: Tenure
      readonly body: RegisterBody
    }
  /** An awaited worker was checked and is routable again. */
  | {
      readonly kind: 'restored'
      readonly registration: Registration
      readonly tenure: Tenure
      readonly body: RegisterBody
    }
  /** Another controller has registered it: awaited here until the policy of this one has decided. */
  | { readonly kind: 'learned'; readonly worker: RememberedWorker }
  /** An awaited worker did not pass here; for other controllers this means nothing. */
  | { readonly kind: 'unconfirmed'; readonly holder: Holder }
  /** `left`: it deregistered. `dismissed`: it was evicted, or was awaited and did not pass. */
  | { readonly kind: 'left' | 'dismissed'; readonly holder: Holder }
  | { readonly kind: 'drained' | 'undrained'; readonly id: string }

/** A heartbeat. It is no change: it may be late, or lost. */
export type Beat = { readonly holder: Holder; readonly load: number | undefined }

/** Makes a change in every process. As `apply` says, here; resolves when it is `settled`. */
export type Share = (change: RollChange) => Promise<boolean>

export type Roll = {
  /** False if it changes nothing here: the worker has left, or registered again meanwhile. Never throws. */
  readonly apply: (change: RollChange) => boolean
  readonly beat: (beat: Beat) => void
  /**
   * Resolves when no restart of the controller can undo the change: after one that takes a lease away, when the lease is off
   * the disk. Never rejects.
   */
  readonly settled: (change: RollChange) => Promise<void>
}

type RollParts = {
  readonly registry: Registry
  readonly awaited: Awaited
  /** Undefined: another process keeps it. */
  readonly hint: HintFile | undefined
  /** Called for a worker that another controller has registered and that is awaited here now. */
  readonly onLearned?: (worker: RememberedWorker) => void
}

export function createRoll({ registry, awaited, hint, onLearned }: RollParts): Roll {
  const apply = (change: RollChange): boolean => {
    switch (change.kind) {
      case 'registered': {
        const { registration, tenure } = change
        awaited.replaced(registration)
        registry.register(registration, tenure)
        return true
      }
      case 'restored': {
        const { registration, tenure } = change
        const remembered = awaited.take({ ...registration, ...tenure })
        return remembered !== undefined && registry.restore(registration, tenure, remembered.replaced) !== undefined
      }
      case 'learned': {
        const { worker } = change
        const holder = rememberedHolder(worker)
        if (registry.holder(holder) !== undefined || awaited.has(holder)) return false
        // The later registration wins: the earlier one of the same worker ends now.
        registry.removeNamed(holder)
        awaited.add([worker])
        void hint?.remember(worker)
        onLearned?.(worker)
        return true
      }
      case 'left':
      case 'dismissed':
      case 'unconfirmed': {
        const wasAwaited = awaited.forget(change.holder)
        // The registry itself tells of one that is registered.
        if (wasAwaited) hint?.forget(change.holder)
        return registry.remove(change.holder) || wasAwaited
      }
      case 'drained':
        return registry.drain(change.id)
      case 'undrained':
        return registry.undrain(change.id)
      default:
        return change satisfies never
    }
  }
  return {
    apply,
    beat({ holder, load }) {
      const instance = registry.holder(holder)
      if (instance !== undefined) registry.heartbeat(instance, load)
    },
    settled(change) {
      if (hint === undefined) return Promise.resolve()
      if (change.kind === 'left') return hint.settled()
      if (change.kind !== 'registered') return Promise.resolve()
      const { registration, tenure, body } = change
      return hint.remember({ spiffeId: registration.spiffeId, ...tenure, body })
    },
  }
}
