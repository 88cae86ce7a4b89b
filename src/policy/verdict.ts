// Who asks the policy, and the result: the types that judging, ruling and recording pass to each other.
import type { Span } from '@opentelemetry/api'
import type { Decision, PolicyInput, RegistrationInput } from '../core/decision.ts'
import type { AppError } from '../core/errors.ts'
import type { Decided, Undecided } from '../core/ruling.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TraceContext } from '../core/trace-context.ts'

/** The facts common to every question to the policy: the caller, the decision id and the trace. */
export type Asker = {
  readonly decisionId: string
  readonly caller: SpiffeId
  readonly span: Span
  readonly trace: TraceContext
}

/** A question to the policy and its result: a decision, or the error that prevented one. */
export type Verdict<Input extends PolicyInput = PolicyInput> = {
  readonly input: Input
  readonly evaluationMs: number
  readonly engine: string
  readonly revision: string
} & (
  | { readonly ruling: Decided; readonly decision: Decision }
  | { readonly ruling: Undecided; readonly decision: undefined; readonly error: AppError }
)

export type RegistrationVerdict = Verdict<RegistrationInput>
