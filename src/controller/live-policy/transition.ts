// From one policy to the next: recorded first, then swapped in one step, then told. What cannot be recorded does not
// come into force.
import { createListeners } from '../../platform/listeners.ts'
import type { InForce } from '../../policy/engine/engine-kind.ts'
import type { PolicyLog } from './guard.ts'
import type { PolicyDelta } from './policy-delta.ts'

/**
 * A change of what is in force. `previous` is undefined for the first revision that a sidecar's bundle names. `scope`:
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
  /** Unix ms since when it has been in force. */
  readonly sinceMs: () => number
  /** Records and swaps; one at a time. `next` is made of what is in force when its turn comes; undefined: nothing to do. */
  readonly move: (next: Proposal, isFirst?: boolean) => Promise<void>
  readonly onChange: (listener: (change: PolicyChange) => void) => () => void
}

const MAX_SEEN = 1000

export function createTransition({ initial, record, log, now }: TransitionOptions): Transition {
  let current = initial
  let sinceMs = now()
  let turn: Promise<unknown> = Promise.resolve()
  // An old bundle is signed as well as a new one: that it came back is for somebody to look at.
  const seen = new Set([initial.revision])
  const listeners = createListeners<[PolicyChange]>((cause) =>
    log.error({ event: 'policy_listener_failed', detail: String(cause) }, 'a listener to policy changes failed'),
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
      isWhole ? 'another policy is in force' : 'another block list is in force',
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
