// No-op versions of the pipeline steps that the forward-only server leaves out.
import { trace, TraceFlags } from '@opentelemetry/api'
import { newChain } from '../../src/core/call-chain.ts'
import type { CallChains } from '../../src/controller/chain/call-chains.ts'
import type { Verdict } from '../../src/policy/verdict.ts'
import type { Metrics } from '../../src/controller/metrics/metrics.ts'
import type { Judge } from '../../src/policy/judge.ts'
import type { PolicyInput } from '../../src/core/decision.ts'
import type { DirectTracer } from '../../src/platform/tracing/tracing-port.ts'

export const nothing = (): void => undefined
const resolved = Promise.resolve()
export const resolvedNothing = (): Promise<void> => resolved

const span = trace.wrapSpanContext({
  traceId: '1'.repeat(32),
  spanId: '2'.repeat(16),
  traceFlags: TraceFlags.SAMPLED,
})

/** Every span is the same object. */
export const noTracer: DirectTracer = {
  spanBelow: () => span,
  startSpan: () => span,
  startActiveSpan: () => {
    throw new Error('the controller starts no active spans')
  },
}

export const noMetrics: Metrics = {
  answered: nothing,
  decided: nothing,
  routed: nothing,
  registrationDecided: nothing,
  identityRefused: nothing,
  connectionRefused: nothing,
  audited: nothing,
  auditSegmentOpened: nothing,
  auditCheckpointFailed: nothing,
  credentialsReloaded: nothing,
  policyReloaded: nothing,
  policyLoaded: nothing,
  spansLost: nothing,
  observe: nothing,
  setKnownCapabilities: nothing,
  capabilityLabel: (capability) => capability,
}

/** Allows everything. */
export const allowAll: Judge = (_question, _asked, input) => Promise.resolve(allowed(input))

/** The verdict of every call; nothing reads its input. */
export const allowedAlready: Promise<Verdict> = Promise.resolve(allowed({} as PolicyInput))

function allowed<Input extends PolicyInput>(input: Input): Verdict<Input> {
  return {
    input,
    engine: 'none',
    revision: '0',
    evaluationMs: 0,
    ruling: 'allow' as const,
    decision: {
      decision: 'allow',
      mode: 'enforce',
      grounds: ['bench'],
      reasons: [],
      exception: null,
      policyVersion: '0',
    },
  }
}

/** No chains of calls: every call begins its own, and the worker gets an empty value. */
export const noChains: CallChains = { read: (_header, caller) => newChain(caller), handOn: () => '' }
