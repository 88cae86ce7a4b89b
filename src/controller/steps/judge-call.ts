// On the path of every call. Step 1: asks the policy about one call, at the time of the call.
import { policyInput, type Judge } from '../../policy/judge.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall } from '../call.ts'

/** `now`: Unix ms. */
type JudgeCallDeps = { readonly judge: Judge; readonly now: () => number }

/** Asks whether the caller may use the capability. Never rejects: a failure is part of the verdict. */
export function createJudgeCall({ judge, now }: JudgeCallDeps): (call: RouteCall) => Verdict | Promise<Verdict> {
  return (call) => judge('capability_access', call, policyInput(call, call, now(), call.chain))
}
