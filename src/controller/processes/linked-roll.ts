// The roll in a process that serves: the parent gives the changes one order, for all.
import { AppError } from '../../core/errors.ts'
import { LinkClosedError, type Link } from '../../platform/process-link.ts'
import { within } from '../../platform/within.ts'
import { holderOf } from '../routing/registry.ts'
import type { Beat, Roll, RollChange } from '../routing/roll.ts'
import type { SharedRoll } from './siblings.ts'
import type { ToParent } from './words.ts'

/** Heartbeats are collected: a thousand workers send a hundred a second. */
const COLLECT_MS = 100
/** Longer than the parent waits for the other processes and for its disk: it hangs. */
const ANSWER_MS = 5000

export function createLinkedRoll(
  link: Pick<Link<ToParent>, 'ask' | 'tell'>,
  roll: Pick<Roll, 'apply'>,
  { answerMs = ANSWER_MS } = {},
): SharedRoll {
  return {
    async share(change) {
      const asked = link.ask('share', change)
      try {
        const isChanged = await within(answerMs, asked)
        if (isChanged !== undefined) return isChanged
        throw new AppError('registry_unavailable', 'the process that orders changes of the registry does not answer')
      } catch (cause: unknown) {
        // The policy denies this worker: calls must not wait for the parent either.
        if (change.kind === 'dismissed' || change.kind === 'unconfirmed') return roll.apply(change)
        if (change.kind === 'registered') void giveBack(asked, change, link)
        throw cause instanceof LinkClosedError ? new AppError('shutting_down') : cause
      }
    },
    beat: beatsOver(link),
  }
}

/** The worker has got no lease: when the parent continues, nobody may be registered who sends no heartbeats. */
async function giveBack(
  asked: Promise<boolean>,
  { registration, tenure }: Extract<RollChange, { kind: 'registered' }>,
  link: Pick<Link<ToParent>, 'ask'>,
): Promise<void> {
  try {
    if (await asked) await link.ask('share', { kind: 'left', holder: holderOf({ ...registration, ...tenure }) })
  } catch {
    // The parent has refused it, or is gone.
  }
}

function beatsOver(link: Pick<Link<ToParent>, 'tell'>): (beat: Beat) => void {
  let collected: Beat[] = []
  const send = (): void => {
    link.tell('beats', collected)
    collected = []
  }
  return (beat) => {
    if (collected.push(beat) === 1) setTimeout(send, COLLECT_MS).unref()
  }
}
