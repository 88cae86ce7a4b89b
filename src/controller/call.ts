// What the steps of the pipeline hand to each other: one authorised-or-not call, and what came of it.
import type { Span } from '@opentelemetry/api'
import type { Capability } from '../core/capability.ts'
import type { Decision, PolicyInput, Priority, RegistrationInput } from '../core/decision.ts'
import type { AppError } from '../core/errors.ts'
import type { Outcome } from '../core/outcome.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TraceContext } from '../core/trace-context.ts'
import type { AnswerSink, Upload } from './dispatch/worker-exchange.ts'

/** Who asks, under which decision id, in which trace: true of every question to the policy. */
export type Asker = {
  readonly decisionId: string
  readonly caller: SpiffeId
  readonly span: Span
  readonly trace: TraceContext
}

/** A request that asks, and will be told what comes of it. */
export type Asked = Asker & {
  /** Called when the verdict is recorded: from then on a refusal is no news to the audit log. */
  readonly onRecorded: () => void
}

/** A request to use a capability, checked against its schema. `timeoutMs` bounds the first byte of the answer, once the body is sent. */
export type RouteCall = Asked & {
  readonly form: 'json' | 'raw'
  readonly verb: string
  readonly name: string
  readonly capability: Capability
  readonly priority: Priority
  readonly idempotencyKey: string | undefined
  readonly timeoutMs: number
  readonly tracestate: string | undefined
  readonly lastEventId: string | undefined
  readonly contentType: string
  readonly body: Buffer | Upload
  readonly contentLength: number | undefined
  readonly sink: AnswerSink
}

/**
 * What becomes of a call (steps/ruling.ts). `allow` and `deny` as the policy said; `would_deny`: denied in shadow mode, so
 * it passes; `error`: no decision, refused; `unevaluated`: no decision in shadow mode, so it passes.
 */
export type Ruling = 'allow' | 'deny' | 'would_deny' | 'error' | 'unevaluated'

/** What was asked of the policy and what came of it: a decision, or the trouble that kept it from one. */
export type Verdict<Input extends PolicyInput = PolicyInput> = {
  readonly input: Input
  readonly evaluationMs: number
  readonly engine: string
  readonly revision: string
} & (
  | { readonly ruling: 'allow' | 'deny' | 'would_deny'; readonly decision: Decision }
  | { readonly ruling: 'error' | 'unevaluated'; readonly decision: undefined; readonly error: AppError }
)

export type RegistrationVerdict = Verdict<RegistrationInput>

/** How a call ended. `error` is set when the caller has not been answered yet. */
export type RouteOutcome = {
  readonly outcome: Outcome
  readonly status: number
  readonly workerId: string | null
  readonly attempts: number
  readonly durationMs: number
  readonly error: AppError | undefined
}
