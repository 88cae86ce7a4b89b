// On the path of every call. Beside step 1: the candidate policy, if
// there is one, gets the same question later. Nothing waits for it.
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall } from '../call.ts'
import type { Candidate } from '../candidate/candidate.ts'

/** `candidate` undefined: none is configured. */
export function createTryCandidate(
  candidate: Pick<Candidate, 'offer'> | undefined,
): (call: RouteCall, verdict: Verdict) => void {
  return ({ trace }, { input, decision }) => candidate?.offer({ input, decision, trace })
}
