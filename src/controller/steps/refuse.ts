// On the path of every call. Between recording and acting: only what the ruling lets pass goes on. One function, so that no
// route can forget it.
import { AppError } from '../../core/errors.ts'
import { passes } from '../../core/ruling.ts'
import type { Verdict } from '../../policy/verdict.ts'

/** Lets only a passing ruling through. @throws {AppError} the trouble, or `denial` with the policy's own sentence and code. */
export function refuseUnlessPassed(verdict: Verdict, denial: 'capability_access_denied' | 'registration_denied'): void {
  if (passes(verdict.ruling)) return
  if (verdict.decision === undefined) throw verdict.error
  const [first] = verdict.decision.reasons
  throw new AppError(denial, first?.message, first === undefined ? {} : { reasonCode: first.code })
}
