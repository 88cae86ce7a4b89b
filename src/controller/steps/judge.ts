// Step 1: ask the policy. Whatever goes wrong is trouble, never an allow; it is recorded like a decision.
import { SpanKind, SpanStatusCode, type Attributes, type Tracer } from '@opentelemetry/api'
import type { Decide, Decision, PolicyInput, Priority, Question } from '../../core/decision.ts'
import { toAppError } from '../../core/errors.ts'
import { isoTime } from '../../core/iso-time.ts'
import { trustDomainOf } from '../../core/spiffe-id.ts'
import { startSpan, traceContextOf } from '../../platform/tracing.ts'
import type { Asker, Ruling, Verdict } from '../call.ts'
import { rulingOf, rulingOnTrouble, type OwnKnowledge } from './ruling.ts'

export type JudgeDeps = {
  readonly policy: { readonly decide: Decide; readonly engine: string; readonly revision: () => string }
  readonly own: OwnKnowledge
  readonly tracer: Tracer
  /** Monotonic milliseconds, for durations. */
  readonly monotonic: () => number
}

/** The capability that is asked for; of a registration the fixed pair `register:worker`. */
export type Action = { readonly verb: string; readonly name: string; readonly priority: Priority }

/** Asks one question of the policy for one request. Never rejects. */
export type Judge = <Input extends PolicyInput>(
  question: Question,
  asked: Asker,
  input: Input,
) => Promise<Verdict<Input>>

export function createJudge({ policy, own, tracer, monotonic }: JudgeDeps): Judge {
  return async (question, asked, input) => {
    const span = startSpan(tracer, 'policy.evaluate', SpanKind.INTERNAL, asked.span)
    const start = monotonic()
    const facts = () => ({
      input,
      engine: policy.engine,
      revision: policy.revision(),
      evaluationMs: monotonic() - start,
    })
    try {
      const decision = await policy.decide(question, input, traceContextOf(span))
      const ruling = rulingOf(question, decision, () => own.isBlocked(input))
      if (span.isRecording()) span.setAttributes(decidedAttributes(ruling, decision, asked, policy))
      if (ruling === 'would_deny') markShadowed(asked, ruling)
      return { ...facts(), revision: decision.revision ?? policy.revision(), ruling, decision }
    } catch (cause: unknown) {
      const error = toAppError(cause, 'policy_engine_error')
      const ruling = rulingOnTrouble(question, input, own)
      span.setAttributes({
        ...attributesOf(ruling, asked, policy),
        'policy.mode': ruling === 'unevaluated' ? 'shadow' : 'enforce',
        'error.type': error.code,
      })
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.code })
      if (ruling === 'unevaluated') markShadowed(asked, ruling)
      return { ...facts(), ruling, decision: undefined, error }
    } finally {
      span.end()
    }
  }
}

/** The question about one call or registration, at one instant of the wall clock. */
export function policyInput(
  { caller, decisionId }: Pick<Asker, 'caller' | 'decisionId'>,
  action: Action,
  nowMs: number,
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
    },
  }
}

/** On the request's own span: a call that only shadow mode let through looks like any other there. */
function markShadowed({ span }: Asker, ruling: 'would_deny' | 'unevaluated'): void {
  span.setAttributes({ 'policy.decision': ruling, 'policy.mode': 'shadow' })
}

function decidedAttributes(ruling: Ruling, decision: Decision, asked: Asker, policy: JudgeDeps['policy']): Attributes {
  const reason = decision.reasons[0]?.code
  return {
    ...attributesOf(ruling, asked, policy),
    'policy.mode': decision.mode,
    ...(reason === undefined ? {} : { 'policy.reason': reason }),
  }
}

function attributesOf(decision: Ruling, { decisionId }: Asker, policy: JudgeDeps['policy']): Attributes {
  return {
    'policy.decision': decision,
    'policy.engine': policy.engine,
    'policy.revision': policy.revision(),
    'opa.decision_id': decisionId,
  }
}
