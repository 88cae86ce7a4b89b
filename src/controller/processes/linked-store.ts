// The store of idempotency keys in a process that serves: the parent keeps it, for all.
import { toAppError } from '../../core/errors.ts'
import type { Link } from '../../platform/process-link.ts'
import type { KeyStore, StoreHealth } from '../idempotency/key-store.ts'
import type { ToParent } from './words.ts'

const UNKNOWN: StoreHealth = { ok: true, queued: 0, counts: { in_flight: 0, done: 0, unknown: 0, bytes: 0 } }

export function createLinkedStore(link: Link<ToParent>): KeyStore {
  return {
    begin: (claim) =>
      link.ask('begin', claim).catch((cause: unknown) => {
        throw toAppError(cause, 'idempotency_unavailable')
      }),
    end: (claim, ending) => link.ask('end', { claim, ending }).catch(() => false),
    // The parent tells its own metrics.
    health: () => UNKNOWN,
    // The parent closes it after the last process.
    close: () => Promise.resolve(),
  }
}
