// The store of idempotency keys in a process that serves: the parent keeps it, for all.
import { AppError, toAppError } from '../../core/errors.ts'
import type { Link } from '../../platform/process-link.ts'
import { within } from '../../platform/within.ts'
import type { KeyStore, StoreHealth } from '../idempotency/key-store.ts'
import type { ToParent } from './words.ts'

const UNKNOWN: StoreHealth = { ok: true, queued: 0, counts: { in_flight: 0, done: 0, unknown: 0, bytes: 0 } }
/** Longer than the store itself waits for its disk: the parent hangs. */
const ANSWER_MS = 6000
const SPARE_MS = 1000
/** Longer than any store waits to write the end of a call. */
const END_MS = 12_000

export function createLinkedStore(link: Link<ToParent>, { answerMs = ANSWER_MS } = {}): KeyStore {
  return {
    async begin(claim) {
      const asked = link.ask('begin', claim)
      // A store that several controllers share waits as long as the call may.
      const begun = await within(Math.max(answerMs, (claim.waitMs ?? 0) + SPARE_MS), asked).catch((cause: unknown) => {
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
      return (await within(END_MS, link.ask('end', { claim, ending })).catch(() => undefined)) ?? false
    },
    // The parent tells its own metrics.
    health: () => UNKNOWN,
    // The parent closes it after the last process.
    close: () => Promise.resolve(),
  }
}
