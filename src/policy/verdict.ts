// Who asks the policy, and what came of it: the words that judging, ruling and recording hand to each other.
import type { Span } from '@opentelemetry/api'
import type { Decision, PolicyInput, RegistrationInput } from '../core/decision.ts'
import type { AppError } from '../core/errors.ts'
import type { Decided, Undecided } from '../core/ruling.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TraceContext } from '../core/trace-context.ts'

/** Who asks, under which decision id, in which trace: true of every question to the policy. */
export type Asker = {
  readonly decisionId: string
  readonly caller: SpiffeId
  readonly span: Span
  readonly trace: TraceContext
}

/** What was asked of the policy and what came of it: a decision, or the trouble that kept it from one. */
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
