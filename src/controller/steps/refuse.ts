// On the path of every call. Between recording and acting: only calls that the ruling
// lets pass continue. One function for all routes, so that none can forget it.
import { AppError } from '../../core/errors.ts'
import { passes } from '../../core/ruling.ts'
import type { Verdict } from '../../policy/verdict.ts'

/** @throws {AppError} unless the ruling passes: the verdict's error, or `denial` with the policy's sentence and code. */
export function refuseUnlessPassed(verdict: Verdict, denial: 'capability_access_denied' | 'registration_denied'): void {
  if (passes(verdict.ruling)) return
  if (verdict.decision === undefined) throw verdict.error
  const [first] = verdict.decision.reasons
  throw new AppError(denial, first?.message, first === undefined ? {} : { reasonCode: first.code })
}
