// Decides a recorded question again with another policy: the ruling that a controller would give.
import type { Decide } from '../../core/decision.ts'
import { toAppError } from '../../core/errors.ts'
import { isUndecided } from '../../core/ruling.ts'
import { rulingOf, rulingOnTrouble, type OwnKnowledge } from '../../policy/ruling.ts'
import { memoKey, type MemoPlan } from './memo.ts'
import { codesOf, type Recorded } from './recorded.ts'
import type { Redecided } from './tally.ts'

type RedecideOptions = {
  readonly decide: Decide
  readonly own: OwnKnowledge
  /** Undefined: every question is evaluated. */
  readonly memo: MemoPlan | undefined
  readonly maxMemoised?: number
}

export type Redecide = (recorded: Recorded) => Promise<Redecided & { readonly memoised: boolean }>

const MAX_MEMOISED = 100_000

export function createRedecide({ decide, own, memo, maxMemoised = MAX_MEMOISED }: RedecideOptions): Redecide {
  const known = new Map<string, Redecided & { readonly memoised: true }>()
  return async (recorded) => {
    const key = memo === undefined ? undefined : memoKey(memo, recorded)
    const found = key === undefined ? undefined : known.get(key)
    if (found !== undefined) return found
    const answer = await evaluate(decide, own, recorded)
    if (key !== undefined && !isUndecided(answer.ruling)) {
      if (known.size >= maxMemoised) known.clear()
      known.set(key, { ...answer, memoised: true })
    }
    return { ...answer, memoised: false }
  }
}

async function evaluate(decide: Decide, own: OwnKnowledge, { question, input }: Recorded): Promise<Redecided> {
  try {
    const decision = await decide(question, input)
    const ruling = rulingOf(question, decision, () => own.isBlocked(input))
    return { ruling, why: ruling === 'allow' ? decision.grounds.join(', ') : codesOf(decision.reasons) }
  } catch (cause: unknown) {
    return { ruling: rulingOnTrouble(question, input, own), why: toAppError(cause, 'policy_engine_error').code }
  }
}
