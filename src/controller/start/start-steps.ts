// Connects the steps of a call and of a registration, which the routes of the mTLS listener run.
import { isoTime } from '../../core/iso-time.ts'
import type { DeregisterReply, HeartbeatReply } from '../../core/wire.ts'
import { createJudge, type Judge } from '../../policy/judge.ts'
import { createOwnKnowledge, type OwnKnowledge } from '../../policy/ruling.ts'
import type { Candidate } from '../candidate/candidate.ts'
import { createProbe, createRecallProbe } from '../dispatch/probe.ts'
import type { ExceptionWatch } from '../exceptions/exception-watch.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import { createPipeline, type RouteCapability } from '../pipeline.ts'
import type { RegistrationRoutesOptions } from '../routes/registration.ts'
import { createWorkerCheck } from '../steps/check-worker.ts'
import { createForward } from '../steps/forward.ts'
import { createJudgeCall } from '../steps/judge-call.ts'
import { createRecall } from '../steps/recall.ts'
import { createReconsider } from '../steps/reconsider.ts'
import { createRecorder, type Recorder } from '../steps/record.ts'
import { createRegister } from '../steps/register.ts'
import { createTryCandidate } from '../steps/try-candidate.ts'
import type { Ground } from './ground.ts'
import type { StartedAudit } from './start-audit.ts'
import type { StartedWorkers } from './start-workers.ts'

export type StepParts = {
  readonly audit: StartedAudit
  readonly policy: LivePolicy
  readonly exceptions: ExceptionWatch
  readonly candidate: Candidate | undefined
  readonly workers: StartedWorkers
}

export type StartedSteps = Pick<RegistrationRoutesOptions, 'register' | 'heartbeat' | 'deregister'> & {
  readonly route: RouteCapability
  readonly own: OwnKnowledge
  /** Checks the workers of an earlier controller again, in the background. */
  readonly recall: () => void
}

export function startSteps(ground: Ground, parts: StepParts): StartedSteps {
  const { log, metrics, now, monotonic, tracing } = ground
  const { audit, policy, exceptions, candidate, workers } = parts
  const { registry, pools } = workers
  const own = createOwnKnowledge(policy.files)
  const judge = createJudge({ policy, own, tracer: tracing.tracer, monotonic })
  const recorder = createRecorder({ append: audit.append, log, metrics, now, onExceptionUsed: exceptions.used })
  const forward = createForward({
    providers: registry.providers.bind(registry),
    isKnown: (capability) => policy.files().knownCapabilities.has(capability),
    poolOf: pools.poolOf,
    tracer: tracing.tracer,
    monotonic,
    random: Math.random,
  })
  const { decide, revision } = policy
  const reconsider = createReconsider({ decide, revision, registry, append: audit.append, log, now })
  policy.onChange(() => void reconsider())
  return {
    route: createPipeline({
      judge: createJudgeCall({ judge, now }),
      tryCandidate: createTryCandidate(candidate),
      recordVerdict: recorder.recordVerdict,
      forward,
      recordOutcome: recorder.recordOutcome,
    }),
    ...startRegistrations(ground, parts, { judge, recorder, reconsider: () => void reconsider() }),
    own,
  }
}

type RegistrationParts = {
  readonly judge: Judge
  readonly recorder: Recorder
  readonly reconsider: () => void
}

/** How workers become routable, stay so, and leave. */
function startRegistrations(
  ground: Ground,
  { policy, workers }: StepParts,
  { judge, recorder, reconsider }: RegistrationParts,
): Pick<StartedSteps, 'register' | 'heartbeat' | 'deregister' | 'recall'> {
  const { config, log, now, monotonic, tracing, opened } = ground
  const { registry, connectorFor, hint, awaited } = workers
  const { heartbeatIntervalMs, workerHosts } = config
  const common = { judge, record: recorder.recordRegistration, workerHosts, now }
  // The policy may have changed during the probe.
  const onRegistered = ({ revision }: { revision: string }): void => {
    if (revision !== policy.revision()) reconsider()
  }
  const stop = new AbortController()
  opened.defer(() => stop.abort())
  const recall = createRecall({
    ...{ awaited, hint, registry, onRegistered, heartbeatIntervalMs, log, now, monotonic },
    check: createWorkerCheck({ ...common, probe: createRecallProbe({ connectorFor, log }) }),
    isReady: () => policy.ready().ok,
    tracer: tracing.tracer,
    random: Math.random,
    signal: stop.signal,
  })
  return {
    register: createRegister({
      check: createWorkerCheck({ ...common, probe: createProbe({ connectorFor, log }) }),
      registry,
      remember(instance, body) {
        awaited.settle({ ...instance, body })
        return hint.remember({ ...instance, body })
      },
      onRegistered,
      heartbeatIntervalMs,
    }),
    heartbeat(claim, load): HeartbeatReply {
      if (!awaited.owns(claim)) registry.heartbeat(claim, load)
      return { status: 'acknowledged', timestamp: isoTime(now()) }
    },
    async deregister(claim): Promise<DeregisterReply> {
      const former = awaited.withdraw(claim)
      if (former === undefined) registry.deregister(claim)
      else hint.forget({ ...claim, leaseHash: former.leaseHash })
      // Once the worker has its answer, no restart brings it back.
      await hint.settled()
      return { status: 'deregistered' }
    },
    recall: () => void recall(),
  }
}
