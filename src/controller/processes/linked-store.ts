// The store of idempotency keys in a process that serves: the parent keeps it, for all.
import { AppError, toAppError } from '../../core/errors.ts'
import type { Link } from '../../platform/process-link.ts'
import { within } from '../../platform/within.ts'
import type { KeyStore, StoreHealth } from '../idempotency/key-store.ts'
import type { ToParent } from './words.ts'

const UNKNOWN: StoreHealth = { ok: true, queued: 0, counts: { in_flight: 0, done: 0, unknown: 0, bytes: 0 } }
/** Longer than the store itself waits for its disk: the parent hangs. */
const ANSWER_MS = 6000

export function createLinkedStore(link: Link<ToParent>, { answerMs = ANSWER_MS } = {}): KeyStore {
  return {
    async begin(claim) {
      const asked = link.ask('begin', claim)
      const begun = await within(answerMs, asked).catch((cause: unknown) => {
        throw toAppError(cause, 'idempotency_unavailable')
      })
      if (begun !== undefined) return begun
      // Nothing was executed: the key must not stay held when the parent continues.
      const free = async (): Promise<void> => {
        if ((await asked).state === 'begun') await link.ask('end', { claim, ending: { to: 'free' } })
      }
      void free().catch(() => undefined)
      throw new AppError('idempotency_unavailable', 'the process that keeps the idempotency keys does not answer')
    },
    async end(claim, ending) {
      return (await within(answerMs, link.ask('end', { claim, ending })).catch(() => undefined)) ?? false
    },
    // The parent tells its own metrics.
    health: () => UNKNOWN,
    // The parent closes it after the last process.
    close: () => Promise.resolve(),
  }
}
