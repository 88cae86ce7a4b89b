// The types of a policy decision: the question, the answer, and the port that every engine implements.
import type { SpiffeId, TrustDomain } from './spiffe-id.ts'
import type { TraceContext } from './trace-context.ts'

export type Mode = 'enforce' | 'shadow'
export const PRIORITIES = ['low', 'normal', 'high'] as const
export type Priority = (typeof PRIORITIES)[number]

/** A stable code and its sentence, both from the policy. */
export type Reason = { readonly code: string; readonly message: string }

/** `input` of `data.crank.capability_access.decision`. `now_ns`: Unix nanoseconds in decimal, a string (19 digits). */
export type PolicyInput = {
  readonly identity: { readonly spiffe_id: SpiffeId; readonly trust_domain: TrustDomain }
  readonly action: { readonly verb: string; readonly capability: string }
  readonly context: {
    readonly timestamp: string
    readonly now_ns: string
    readonly source: 'controller'
    readonly decision_id: string
    readonly priority: Priority
    /** Who made the first call of the chain: the caller itself, unless it calls on behalf of a call. */
    readonly origin: SpiffeId
    /** How many calls of the chain are above this one. */
    readonly depth: number
  }
}

/** `input` of `data.crank.worker_registration.decision`: which worker provides what, and at which address. */
export type RegistrationInput = PolicyInput & {
  readonly resource: {
    readonly worker_id: string
    readonly worker_url: string
    readonly capabilities: readonly string[]
  }
}

type Common = {
  readonly mode: Mode
  /** Name of the exception that applied or was considered, else null. */
  readonly exception: string | null
  /** Null where the controller's own block list decided without asking a policy. */
  readonly policyVersion: string | null
  /** Revision of the policy that made this decision, where the engine reports it per decision. */
  readonly revision?: string
  /** Only if the policy says so: the same question has the same answer until then, in Unix nanoseconds. */
  readonly validUntilNs?: bigint
  /** The decision id of the question that this decision was made for, if it is repeated (policy/decision-cache.ts). */
  readonly repeats?: string
}
/** The answer of the policy. A failure (no answer, invalid answer) is never a Decision: it is thrown as an AppError. */
export type Decision =
  | (Common & { readonly decision: 'allow'; readonly grounds: readonly string[]; readonly reasons: readonly Reason[] })
  | (Common & { readonly decision: 'deny'; readonly grounds: readonly string[]; readonly reasons: readonly Reason[] })

/** The questions a policy answers; the name is the package under `data.crank`. */
export type Question = 'capability_access' | 'worker_registration'

/** A span that the controller started for a batch of questions. */
type BatchSpan = { readonly trace: TraceContext; readonly end: () => void }

/** A recorded span of a question, for an engine that may ask it together with others. */
export type RecordedSpan = {
  /** Starts the span of a batch of `size` questions below this one. */
  readonly startBatch: (size: number) => BatchSpan
  readonly linkTo: (batch: TraceContext) => void
}

/** The trace of a request that asks. `recorded`: only if its span is recorded. */
export type AskedTrace = TraceContext & { readonly recorded?: RecordedSpan }

/**
 * Asks one question. Rejects with an AppError `policy_engine_unavailable` (no answer in time), `policy_engine_error`
 * (an answer that is not a decision) or `policy_not_ready`; never resolves to an allow that the policy did not give.
 * `trace` is for an engine that records its own spans. Null: the request belongs to no known trace. Left out: the question
 * does not come from a request and must not be recorded.
 * @example
 * const { decision, reasons } = await decide('capability_access', policyInput(call, call, now()), trace)
 * if (decision === 'deny') throw new AppError('capability_access_denied', reasons[0]?.message)
 */
export type Decide = (
  question: Question,
  input: PolicyInput | RegistrationInput,
  trace?: AskedTrace | null,
) => Promise<Decision>

/** A running engine, until it is closed. */
export type PolicyEngine = {
  /** The name in audit records, metrics and spans, such as `opa-wasm`. */
  readonly name: string
  readonly decide: Decide
  /** Asks about up to 32 calls in one request; for an engine that can. Rejects like `decide` if one has no decision. */
  readonly decideTogether?: (inputs: readonly PolicyInput[]) => Promise<Decision[]>
  readonly close: () => Promise<void>
}
