// Between recording and acting: only an allow passes. One function, so that no route can forget it.
import { AppError } from '../../core/errors.ts'
import type { Verdict } from '../call.ts'

/** Lets only an allow pass. @throws {AppError} the trouble, or `denial` with the policy's own sentence and code. */
export function refuseUnlessAllowed(
  verdict: Verdict,
  denial: 'capability_access_denied' | 'registration_denied',
): void {
  if (verdict.decision === undefined) throw verdict.error
  const { decision, reasons } = verdict.decision
  if (decision === 'allow') return
  const [first] = reasons
  throw new AppError(denial, first?.message, first === undefined ? {} : { reasonCode: first.code })
}
