// The change from one policy to the next: recorded first, then swapped in one step, then
// reported to listeners. A change that cannot be recorded does not come into force.
import { createListeners } from '../../platform/listeners.ts'
import type { InForce } from '../../policy/engine/engine-kind.ts'
import type { PolicyLog } from './guard.ts'
import type { PolicyDelta } from './policy-delta.ts'

/**
 * A change of what is in force. `previous` is undefined for the first known revision of a sidecar's bundle. `scope`:
 * `blocked` when only the controller's own block list changed.
 */
export type PolicyChange = {
  readonly scope: 'policy' | 'blocked'
  readonly previous: InForce | undefined
  readonly next: InForce
  readonly changed: PolicyDelta
}

/** `scope` left out: the whole policy. */
type Proposal = (
  current: InForce,
) => (Pick<PolicyChange, 'next' | 'changed'> & { readonly scope?: 'blocked' }) | undefined

type TransitionOptions = {
  readonly initial: InForce
  /** Makes the record durable; rejects when it cannot be written. */
  readonly record: (change: PolicyChange) => Promise<void>
  readonly log: PolicyLog
  readonly now: () => number
}

export type Transition = {
  readonly current: () => InForce
  /** Unix ms at which it came into force. */
  readonly sinceMs: () => number
  /** Records and swaps, one change at a time. `next` gets what is in force at its turn, and returns undefined for no change. */
  readonly move: (next: Proposal, isFirst?: boolean) => Promise<void>
  readonly onChange: (listener: (change: PolicyChange) => void) => () => void
}

const MAX_SEEN = 1000

export function createTransition({ initial, record, log, now }: TransitionOptions): Transition {
  let current = initial
  let sinceMs = now()
  let turn: Promise<unknown> = Promise.resolve()
  // The signature of an old bundle stays valid: a return to one is logged as a warning.
  const seen = new Set([initial.revision])
  const listeners = createListeners<[PolicyChange]>((cause) =>
    log.error({ event: 'policy_listener_failed', detail: String(cause) }, 'a listener for policy changes failed'),
  )

  const step: Transition['move'] = async (propose, isFirst = false) => {
    const proposed = propose(current)
    if (proposed === undefined) return
    const change = { scope: 'policy' as const, previous: isFirst ? undefined : current, ...proposed }
    const { scope, next, previous, changed } = change
    await record(change)
    current = next
    const isWhole = scope === 'policy'
    if (isWhole) sinceMs = now()
    const isBack = isWhole && seen.has(next.revision)
    if (seen.size < MAX_SEEN) seen.add(next.revision)
    log[isBack ? 'warn' : 'info'](
      {
        event: 'policy_changed',
        scope,
        seen_before: isBack,
        old_revision: previous?.revision ?? null,
        new_revision: next.revision,
        changed,
      },
      isWhole ? 'the policy has changed' : 'the block list has changed',
    )
    listeners.notify(change)
  }

  return {
    current: () => current,
    sinceMs: () => sinceMs,
    move(propose, isFirst) {
      const mine = turn.then(() => step(propose, isFirst))
      turn = mine.catch(() => undefined)
      return mine
    },
    onChange: listeners.add,
  }
}
