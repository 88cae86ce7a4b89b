// Step 1: ask the policy. Whatever goes wrong is trouble, never an allow; it is recorded like a decision.
import { SpanKind, SpanStatusCode, type Attributes, type Tracer } from '@opentelemetry/api'
import type { Decide, Decision, PolicyInput, Priority, Question } from '../../core/decision.ts'
import { toAppError } from '../../core/errors.ts'
import { isoTime } from '../../core/iso-time.ts'
import { trustDomainOf } from '../../core/spiffe-id.ts'
import { startSpan, traceContextOf } from '../../platform/tracing.ts'
import type { Asked, Verdict } from '../call.ts'

export type JudgeDeps = {
  readonly policy: { readonly decide: Decide; readonly engine: string; readonly revision: () => string }
  readonly tracer: Tracer
  /** Monotonic milliseconds, for durations. */
  readonly monotonic: () => number
}

/** The capability that is asked for; of a registration the fixed pair `register:worker`. */
export type Action = { readonly verb: string; readonly name: string; readonly priority: Priority }

/** Asks one question of the policy for one request. Never rejects. */
export type Judge = <Input extends PolicyInput>(
  question: Question,
  asked: Asked,
  input: Input,
) => Promise<Verdict<Input>>

export function createJudge({ policy, tracer, monotonic }: JudgeDeps): Judge {
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
      if (span.isRecording()) span.setAttributes(decidedAttributes(decision, asked, policy))
      return { ...facts(), decision }
    } catch (cause: unknown) {
      const error = toAppError(cause, 'policy_engine_error')
      span.setAttributes({ ...attributesOf('error', asked, policy), 'error.type': error.code })
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.code })
      return { ...facts(), decision: undefined, error }
    } finally {
      span.end()
    }
  }
}

/** The question about one call or registration, at one instant of the wall clock. */
export function policyInput({ caller, decisionId }: Asked, action: Action, nowMs: number): PolicyInput {
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

function decidedAttributes(decision: Decision, asked: Asked, policy: JudgeDeps['policy']): Attributes {
  const reason = decision.reasons[0]?.code
  return {
    ...attributesOf(decision.decision, asked, policy),
    'policy.mode': decision.mode,
    ...(reason === undefined ? {} : { 'policy.reason': reason }),
  }
}

function attributesOf(decision: string, { decisionId }: Asked, policy: JudgeDeps['policy']): Attributes {
  return {
    'policy.decision': decision,
    'policy.engine': policy.engine,
    'policy.revision': policy.revision(),
    'opa.decision_id': decisionId,
  }
}
