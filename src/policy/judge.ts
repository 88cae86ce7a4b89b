// On the path of every call. Step 1: ask the policy. A failure is never an allow, and it is recorded like a decision.
import { SpanKind, SpanStatusCode, type Span, type Tracer } from '@opentelemetry/api'
import type { CallChain } from '../core/call-chain.ts'
import type { Decide, Decision, Mode, PolicyInput, Priority, Question } from '../core/decision.ts'
import { toAppError } from '../core/errors.ts'
import { isoTime } from '../core/iso-time.ts'
import { RULINGS, type Ruling } from '../core/ruling.ts'
import { trustDomainOf } from '../core/spiffe-id.ts'
import { askedTrace } from './batch-span.ts'
import { startSpan } from '../platform/tracing/tracing.ts'
import type { DecisionCache, Keep } from './decision-cache.ts'
import { rulingOf, rulingOnTrouble, type OwnKnowledge } from './ruling.ts'
import type { Asker, Verdict } from './verdict.ts'

export type JudgeDeps = {
  readonly policy: {
    readonly decide: Decide
    /** Decisions about calls that may be repeated; undefined: each call is asked about. */
    readonly cache?: DecisionCache | undefined
    readonly engine: string
    /** Decisions come from another process: each decision is an edge of the service map. */
    readonly isRemote: boolean
    readonly revision: () => string
  }
  readonly own: OwnKnowledge
  readonly tracer: Tracer
  /** Monotonic milliseconds, for durations. */
  readonly monotonic: () => number
}

/** The requested capability; for a registration the fixed pair `register:worker`. */
type Action = { readonly verb: string; readonly name: string; readonly priority: Priority }

/**
 * Asks the policy one question for one request. Never rejects; a decision that is repeated is there at once.
 * @example
 * const verdict = await judge('capability_access', call, policyInput(call, call, now()))
 * if (!passes(verdict.ruling)) refuse(verdict)
 */
export type Judge = <Input extends PolicyInput>(
  question: Question,
  asked: Asker,
  input: Input,
) => Verdict<Input> | Promise<Verdict<Input>>

export function createJudge(deps: JudgeDeps): Judge {
  const { policy, tracer } = deps
  return (question, asked, input) => {
    const found = question === 'capability_access' ? policy.cache?.look(input) : undefined
    const isRemote = policy.isRemote && typeof found !== 'object'
    const span = startSpan(tracer, 'policy.evaluate', isRemote ? SpanKind.CLIENT : SpanKind.INTERNAL, asked.span)
    const { decided, failed } = createVerdicts(deps, { question, asked, input, span })
    if (typeof found !== 'object') return ask(found)
    const verdict = decided(found)
    span.end()
    return verdict

    async function ask(keep: Keep | undefined) {
      let decision: Decision | undefined
      try {
        decision = await policy.decide(question, input, askedTrace(tracer, span))
        return decided(decision)
      } catch (cause: unknown) {
        return failed(cause)
      } finally {
        keep?.(decision)
        span.end()
      }
    }
  }
}

type Evaluation<Input> = {
  readonly question: Question
  readonly asked: Asker
  readonly input: Input
  readonly span: Span
}

/** The verdict on a decision, and on the lack of one. The evaluation begins with this call. */
function createVerdicts<Input extends PolicyInput>(
  { policy, own, monotonic }: JudgeDeps,
  { question, asked, input, span }: Evaluation<Input>,
) {
  const start = monotonic()
  const facts = () => ({
    input,
    engine: policy.engine,
    revision: policy.revision(),
    evaluationMs: monotonic() - start,
  })
  return {
    decided: (decision: Decision): Verdict<Input> => {
      const ruling = rulingOf(question, decision, () => own.isBlocked(input))
      const revision = decision.revision ?? policy.revision()
      const reason = decision.reasons[0]?.code ?? decision.grounds[0]
      // Without a policy version the controller's own block list decided (policy/brake.ts).
      const engine = decision.policyVersion === null ? 'controller' : policy.engine
      annotate(span, asked, { ruling, mode: decision.mode, reason, engine, revision })
      if (decision.repeats !== undefined) span.setAttribute('policy.repeats', decision.repeats)
      return { ...facts(), engine, revision, ruling, decision }
    },
    failed: (cause: unknown): Verdict<Input> => {
      const error = toAppError(cause, 'policy_engine_error')
      const ruling = rulingOnTrouble(question, input, own)
      const { mode } = RULINGS[ruling]
      annotate(span, asked, { ruling, mode, reason: error.code, engine: policy.engine, revision: policy.revision() })
      span.setAttribute('error.type', error.code)
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.code })
      return { ...facts(), ruling, decision: undefined, error }
    },
  }
}

/** The question about one call or registration, at one instant of the wall clock. Without a chain it is a direct one. */
export function policyInput(
  { caller, decisionId }: Pick<Asker, 'caller' | 'decisionId'>,
  action: Action,
  nowMs: number,
  { origin, depth }: Pick<CallChain, 'origin' | 'depth'> = { origin: caller, depth: 0 },
): PolicyInput {
  return {
    identity: { spiffe_id: caller, trust_domain: trustDomainOf(caller) },
    action: { verb: action.verb, capability: action.name },
    context: {
      timestamp: isoTime(nowMs),
      now_ns: `${nowMs}000000`,
      source: 'controller',
      decision_id: decisionId,
      priority: action.priority,
      origin,
      depth,
    },
  }
}

type Told = {
  readonly ruling: Ruling
  readonly mode: Mode
  readonly reason: string | undefined
  readonly engine: string
  readonly revision: string
}

/**
 * Sets the result as attributes of the question's span, and the searchable ones on the request's span too. `policy.reason` is
 * a code: of the first reason against the call, else of the ground for the allow, else of the error. `opa.decision_id` is the
 * controller's id, as in audit, logs and the answer; OPA receives it as `input.context.decision_id`. An OPA that logs its
 * decisions creates its own id for each and sets it on its own span under the same name: its REST API accepts none.
 * Costs nothing when no span is recorded.
 */
function annotate(span: Span, asked: Asker, { ruling, mode, reason = '', engine, revision }: Told): void {
  if (!span.isRecording()) return
  const decision = { 'policy.decision': ruling, 'policy.mode': mode, 'policy.reason': reason }
  span.setAttributes({
    ...decision,
    'policy.engine': engine,
    'policy.revision': revision,
    'opa.decision_id': asked.decisionId,
  })
  // The caller may have left during the evaluation; its span has then ended.
  if (asked.span.isRecording()) asked.span.setAttributes(decision)
}
