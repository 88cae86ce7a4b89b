// Connects the steps by which workers become routable, stay so, leave, and come back after a restart of the controller.
import { randomUUID } from 'node:crypto'
import { isoTime } from '../../core/iso-time.ts'
import { REMOVED_AFTER_MISSED, type DeregisterReply, type HeartbeatReply } from '../../core/wire.ts'
import type { Judge } from '../../policy/judge.ts'
import { createProbe, createRecallProbe } from '../dispatch/probe.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import type { RegistrationRoutesOptions } from '../routes/registration.ts'
import { isMeshAway } from '../mesh/mesh-health.ts'
import { holderOf } from '../routing/registry.ts'
import { createWorkerCheck } from '../steps/check-worker.ts'
import { createRecall } from '../steps/recall.ts'
import type { Recorder } from '../steps/record.ts'
import { createRegister } from '../steps/register.ts'
import { untilReady } from '../steps/remembered-worker.ts'
import { createTakeOver } from '../steps/take-over.ts'
import type { Ground } from './ground.ts'
import type { StartedWorkers } from './start-workers.ts'

const MAX_SHARED_BYTES = 768 * 1024

export type StartedRegistrations = Pick<RegistrationRoutesOptions, 'register' | 'heartbeat' | 'deregister'> & {
  /** Checks the workers of an earlier controller again, in the background. */
  readonly recall: () => void
  /** Asks about the workers that other processes know: the policy may have changed while none of them could ask. */
  readonly review: () => void
}

type RegistrationParts = {
  readonly judge: Judge
  readonly recorder: Recorder
  readonly reconsider: () => void
}

/** How workers become routable, stay so, and leave. */
export function startRegistrations(
  ground: Ground,
  { policy, workers }: { policy: LivePolicy; workers: StartedWorkers },
  { judge, recorder, reconsider }: RegistrationParts,
): StartedRegistrations {
  const { config, log, now, monotonic, tracing, opened, siblings } = ground
  const { registry, connectorFor, roll, awaited, isThere } = workers
  const { heartbeatIntervalMs, workerHosts } = config
  const common = { judge, record: recorder.recordRegistration, workerHosts, now }
  // The policy may have changed during the probe.
  const onRegistered = ({ revision }: { revision: string }): void => {
    if (revision !== policy.revision()) reconsider()
  }
  const stop = new AbortController()
  opened.defer(() => stop.abort())
  const isReady = (): boolean => policy.ready().ok
  const recall = createRecall({
    ...{ awaited, share: roll.share, registry, onRegistered, heartbeatIntervalMs, log, now, monotonic },
    check: createWorkerCheck({ ...common, probe: createRecallProbe({ connectorFor, log }) }),
    isReady,
    // One process is enough; another one steps in when the first would long be through.
    delayMs: (siblings?.slot ?? 0) * (REMOVED_AFTER_MISSED + 1) * heartbeatIntervalMs,
    tracer: tracing.tracer,
    random: Math.random,
    signal: stop.signal,
  })
  const takeOver = createTakeOver({
    ...{ awaited, share: roll.share, registry, onRegistered, isReady, log, now },
    check: createWorkerCheck({ ...common, probe: () => Promise.resolve() }),
    tracer: tracing.tracer,
    signal: stop.signal,
  })
  workers.onLearned(takeOver.take)
  // What was denied may be allowed now.
  policy.onChange(takeOver.again)
  return {
    register: createRegister({
      check: createWorkerCheck({ ...common, probe: createProbe({ connectorFor, log }) }),
      ...{ registry, share: roll.share, isThere, log, now, onRegistered, heartbeatIntervalMs },
      previous: workers.registeredAt,
      // Larger ones do not fit into one message of NATS.
      maxBytes: config.nats === undefined ? undefined : MAX_SHARED_BYTES,
      newLease: randomUUID,
    }),
    heartbeat(claim, load): HeartbeatReply {
      const waiting = awaited.owned(claim)
      const holder = waiting ?? holderOf(registry.owned(claim))
      if (waiting === undefined) registry.heartbeat(registry.owned(claim), load)
      // Also of one that is only awaited here: other controllers may call it.
      roll.beat({ holder, load })
      const health = workers.meshHealth()
      const mesh = isMeshAway(health) ? 'away' : 'ok'
      return { status: 'acknowledged', timestamp: isoTime(now()), ...(health !== undefined && { mesh }) }
    },
    async deregister(claim): Promise<DeregisterReply> {
      const holder = awaited.owned(claim) ?? holderOf(registry.owned(claim))
      await roll.share({ kind: 'left', holder })
      return { status: 'deregistered' }
    },
    recall: () => void recall(),
    review: () => void untilReady({ isReady, signal: stop.signal }).then(reconsider),
  }
}
