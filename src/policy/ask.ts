// Answers what the policy would decide for a call, without a call: judged as /route judges, but recorded nowhere.
import { SpanKind } from '@opentelemetry/api'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isoTime } from '../core/iso-time.ts'
import { splitCapability, type Capability } from '../core/capability.ts'
import type { PolicyInput } from '../core/decision.ts'
import { uuidv7 } from '../core/ids.ts'
import type { AskAnswer } from '../core/policy-ask.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import { RULINGS } from '../core/ruling.ts'
import { unrecordedTrace } from '../core/trace-context.ts'
import { createLightTracer } from '../platform/tracing/light-tracer.ts'
import { startSpan, traceContextOf } from '../platform/tracing/tracing.ts'
import { createJudge, policyInput, type JudgeDeps } from './judge.ts'
import type { Asker, Verdict } from './verdict.ts'

/** `atNs`: Unix nanoseconds; now if undefined. */
export type PolicyQuestion = {
  readonly spiffeId: SpiffeId
  readonly capability: Capability
  readonly atNs: bigint | undefined
}

/** Answers in the order of the questions. Never rejects: a failure is reported as an answer. */
export type AskPolicy = (questions: readonly PolicyQuestion[]) => Promise<AskAnswer[]>

/** `now`: Unix ms. */
type AskDeps = Omit<JudgeDeps, 'tracer'> & { readonly now: () => number }

/** How many questions are asked at once. The embedded engine blocks the thread meanwhile, and calls wait for it. */
const AT_ONCE = 16
const NS_PER_MS = 1_000_000n

export function createAsk({ now, policy, own, monotonic }: AskDeps): AskPolicy {
  // The same judge, but with spans that are not recorded: questions are not traffic.
  const tracer = createLightTracer()
  // Nothing is kept either: a repeated decision names one that is recorded.
  const judge = createJudge({ policy: { ...policy, cache: undefined }, own, monotonic, tracer })

  const ask = async ({ spiffeId, capability, atNs }: PolicyQuestion): Promise<AskAnswer> => {
    const span = startSpan(tracer, 'policy.ask', SpanKind.INTERNAL, unrecordedTrace())
    const asked: Asker = { decisionId: uuidv7(now()), caller: spiffeId, span, trace: traceContextOf(span) }
    const input = policyInput(asked, { ...splitCapability(capability), priority: 'normal' }, now())
    return toAnswer(await judge('capability_access', asked, atNs === undefined ? input : inputAt(input, atNs)))
  }

  return async (questions) => {
    const answers: AskAnswer[] = []
    for (let at = 0; at < questions.length; at += AT_ONCE) {
      if (at > 0) await nextTurn()
      answers.push(...(await Promise.all(questions.slice(at, at + AT_ONCE).map(ask))))
    }
    return answers
  }
}

function inputAt(input: PolicyInput, atNs: bigint): PolicyInput {
  const timestamp = isoTime(Number(atNs / NS_PER_MS))
  return { ...input, context: { ...input.context, timestamp, now_ns: String(atNs) } }
}

function toAnswer(verdict: Verdict): AskAnswer {
  const { identity, action, context } = verdict.input
  const { decision } = verdict
  return {
    spiffe_id: identity.spiffe_id,
    capability: `${action.verb}:${action.capability}`,
    at: context.timestamp,
    decision: decision?.decision ?? null,
    mode: verdict.decision === undefined ? RULINGS[verdict.ruling].mode : verdict.decision.mode,
    ruling: verdict.ruling,
    reasons: [...(decision?.reasons ?? [])],
    grounds: [...(decision?.grounds ?? [])],
    exception: decision?.exception ?? null,
    policy_revision: decision?.revision ?? verdict.revision,
    policy_version: decision?.policyVersion ?? null,
    engine: verdict.engine,
    error: verdict.decision === undefined ? verdict.error.code : null,
  }
}
