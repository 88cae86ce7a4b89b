// Connects the steps of a call, which the routes of the mTLS listener run.
import type { AuditEvent } from '../../audit/event.ts'
import { uuidv7 } from '../../core/ids.ts'
import { createJudge } from '../../policy/judge.ts'
import { createOwnKnowledge, type OwnKnowledge } from '../../policy/ruling.ts'
import type { Candidate } from '../candidate/candidate.ts'
import type { CallChains } from '../chain/call-chains.ts'
import type { ExceptionWatch } from '../exceptions/exception-watch.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import { createQueueMetrics } from '../metrics/queue-metrics.ts'
import { createRetryMetrics } from '../metrics/retry-metrics.ts'
import { createPipeline, type RouteCapability } from '../pipeline.ts'
import { isOpen } from '../routing/condition.ts'
import { RetryBudget } from '../routing/retry-budget.ts'
import { createChoose } from '../routing/choose.ts'
import { createAdmit } from '../steps/admit.ts'
import { createDecideAgain } from '../steps/decide-again.ts'
import { createForward } from '../steps/forward.ts'
import { createOnce } from '../steps/once.ts'
import { createJudgeCall } from '../steps/judge-call.ts'
import { maskingReasons } from '../steps/mask-reasons.ts'
import { createReconsider } from '../steps/reconsider.ts'
import { createRecorder } from '../steps/record.ts'
import { createSelectWorker, type SelectWorker } from '../steps/select-worker.ts'
import { createShed } from '../steps/shed.ts'
import { createTryCandidate } from '../steps/try-candidate.ts'
import type { Ground } from './ground.ts'
import type { StartedAdmission } from './start-admission.ts'
import type { StartedAudit } from './start-audit.ts'
import type { StartedIdempotency } from './start-idempotency.ts'
import { startRegistrations, type StartedRegistrations } from './start-registrations.ts'
import type { StartedSlos } from './start-slos.ts'
import type { StartedWorkers } from './start-workers.ts'

export type StepParts = {
  readonly audit: StartedAudit
  readonly admission: StartedAdmission
  readonly policy: LivePolicy
  readonly exceptions: ExceptionWatch
  readonly candidate: Candidate | undefined
  readonly slos: StartedSlos
  readonly idempotency: StartedIdempotency
  readonly workers: StartedWorkers
  readonly chains: CallChains
}

export type StartedSteps = StartedRegistrations & {
  readonly route: RouteCapability
  readonly own: OwnKnowledge
}

export function startSteps(ground: Ground, parts: StepParts): StartedSteps {
  const { log, metrics, now, monotonic, tracing, startTimeout } = ground
  const { audit, admission, policy, exceptions, candidate, idempotency, slos, workers, chains } = parts
  const { pools } = workers
  const own = createOwnKnowledge(policy.files)
  const judge = createJudge({ policy, own, tracer: tracing.tracer, monotonic })
  const recorder = createRecorder({
    append: appendFrom(parts),
    note: audit.note,
    log,
    metrics,
    now,
    onExceptionUsed: exceptions.used,
    onEnded: slos.ended,
    onKeyUsed: idempotency.onKeyUsed,
  })
  const select = selectFrom(ground, parts)
  const { handOn } = chains
  const { revision } = policy
  const judgeCall = createJudgeCall({ judge, now })
  const { recordVerdict } = recorder
  const forward = createForward({
    ...{
      select,
      poolOf: pools.poolOf,
      handOn,
      health: workers.health,
      tracer: tracing.tracer,
      monotonic,
      startTimeout,
    },
    decideAgain: createDecideAgain({ judge: judgeCall, recordVerdict, revision, now, newId: () => uuidv7(now()) }),
    budget: new RetryBudget(),
    metrics: createRetryMetrics(ground.metricsRegistry),
  })
  const reconsider = reconsiderFrom(ground, parts)
  return {
    route: createPipeline({
      admit: createAdmit({
        ...admission,
        undeclaredBytes: ground.config.bodyLimitBytes,
        monotonic,
        onLowered: admission.metrics.lowered,
        onLimited: admission.metrics.refused,
      }),
      judge: judgeCall,
      tryCandidate: createTryCandidate(candidate),
      recordVerdict,
      shed: createShed({ refuse: slos.refuse }),
      forward,
      once: createOnce({ ...idempotency, forward, monotonic }),
      recordOutcome: recorder.recordOutcome,
    }),
    ...startRegistrations(ground, parts, { judge, recorder, reconsider }),
    own,
  }
}

/** Evicts workers that the policy no longer allows: after each change, and when it is called. */
function reconsiderFrom({ log, now }: Ground, parts: StepParts): () => void {
  const { policy, workers } = parts
  const { decide, revision } = policy
  const { registry, roll } = workers
  const reconsider = createReconsider({
    ...{ decide, revision, registry, log, now },
    share: roll.share,
    append: appendFrom(parts),
  })
  // In each process: another one may be gone or hang, and must not keep a worker in its place. Only one of them evicts it.
  policy.onChange(() => void reconsider())
  return () => void reconsider()
}

/** For the records with reasons of the policy. */
function appendFrom({ audit, policy }: StepParts): (event: AuditEvent) => Promise<void> {
  return maskingReasons(audit.append, () => policy.files().privacy.masksReasons)
}

function selectFrom(
  { metrics, metricsRegistry, monotonic, tracing }: Ground,
  { policy, workers }: StepParts,
): SelectWorker {
  const { registry, room } = workers
  return createSelectWorker({
    groupOf: registry.group.bind(registry),
    isKnown: (capability) => policy.files().knownCapabilities.has(capability),
    choose: createChoose({ random: Math.random, isOpen }),
    room,
    metrics: createQueueMetrics(metricsRegistry, { labelOf: metrics.capabilityLabel, lengths: () => room.lengths() }),
    tracer: tracing.tracer,
    monotonic,
  })
}
