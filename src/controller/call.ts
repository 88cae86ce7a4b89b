// The types that the steps of the pipeline pass to each other: a call, and its outcome.
import type { Span } from '@opentelemetry/api'
import type { CallChain } from '../core/call-chain.ts'
import type { Capability } from '../core/capability.ts'
import type { Priority } from '../core/decision.ts'
import type { AppError } from '../core/errors.ts'
import type { IdempotencyResult } from '../core/idempotency.ts'
import type { AttemptMade, Effect, Outcome } from '../core/outcome.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TraceContext } from '../core/trace-context.ts'
import type { Asker } from '../policy/verdict.ts'
import type { AnswerSink, Upload } from './dispatch/worker-exchange.ts'
import type { Wish } from './routing/wish.ts'

/** A request to use a capability, checked against its schema. `timeoutMs` bounds the first byte of the answer, once the body is sent. */
export type RouteCall = Asker & {
  readonly form: 'json' | 'raw'
  readonly verb: string
  readonly name: string
  readonly capability: Capability
  readonly chain: CallChain
  /** The decision id of the call, in a decision that is made again before a further attempt. */
  readonly retryOf?: string
  readonly priority: Priority
  /** What the caller asked for, if it gets a lower priority. */
  readonly requestedPriority?: Priority | undefined
  /** The key itself, however it was written. */
  readonly idempotencyKey: string | undefined
  readonly timeoutMs: number
  /** What it asks of its worker; undefined: nothing. */
  readonly wish: Wish | undefined
  readonly tracestate: string | undefined
  readonly lastEventId: string | undefined
  readonly contentType: string
  readonly body: Buffer | Upload
  readonly contentLength: number | undefined
  readonly sink: AnswerSink
}

/** What is known of a request that was refused before any decision. */
export type Refused = {
  readonly decisionId: string
  readonly trace: TraceContext
  readonly requester: SpiffeId | undefined
  readonly remoteAddress: string | undefined
  /** Only if the request could be parsed. `route`: its template, such as `/route/{verb}/{capability}`. */
  readonly request?: { readonly span: Span; readonly route: string; readonly idempotencyKeyPresent: boolean }
}

/** How a call ended. `error` is set when the caller has not been answered yet. */
export type RouteOutcome = {
  readonly outcome: Outcome
  readonly status: number
  readonly workerId: string | null
  readonly attempts: number
  /** The first four and the last, if there were several. */
  readonly attemptsMade?: readonly AttemptMade[] | undefined
  readonly durationMs: number
  /** Until the worker's answer began, without the time of an upload; undefined if none began. */
  readonly firstByteMs?: number | undefined
  readonly error: AppError | undefined
  readonly effect: Effect
  /** Only of a call with an idempotency key. */
  readonly idempotency?: IdempotencyResult
  /** Names the call whose stored answer this one got. */
  readonly originalDecisionId?: string
}
