// Connects the steps by which workers become routable, stay so, leave, and come back after a restart of the controller.
import { randomUUID } from 'node:crypto'
import { isoTime } from '../../core/iso-time.ts'
import { REMOVED_AFTER_MISSED, type DeregisterReply, type HeartbeatReply } from '../../core/wire.ts'
import type { Judge } from '../../policy/judge.ts'
import { createProbe, createRecallProbe } from '../dispatch/probe.ts'
import type { LivePolicy } from '../live-policy/live-policy.ts'
import type { RegistrationRoutesOptions } from '../routes/registration.ts'
import { isMeshAway } from '../mesh/mesh-health.ts'
import { rememberedHolder } from '../routing/awaited.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'
import { holderOf } from '../routing/registry.ts'
import { createWorkerCheck, type WorkerCheckDeps } from '../steps/check-worker.ts'
import { createRecall } from '../steps/recall.ts'
import type { Recorder } from '../steps/record.ts'
import { createRegister } from '../steps/register.ts'
import { untilReady, type RememberedDeps } from '../steps/remembered-worker.ts'
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
  const { config, log, now, opened } = ground
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
  const passing = { onRegistered, isReady, signal: stop.signal }
  const recall = startReturns(ground, { policy, workers }, { common, passing })
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
    recall,
    review: () => void untilReady({ isReady, signal: stop.signal }).then(reconsider),
  }
}

type ReturnParts = {
  readonly common: Omit<WorkerCheckDeps, 'probe'>
  readonly passing: Pick<RememberedDeps, 'onRegistered' | 'isReady' | 'signal'>
}

/** How those become routable that do not register themselves: after a restart, and from other controllers. */
function startReturns(
  { config, now, monotonic, log, tracing, siblings }: Ground,
  { policy, workers }: { policy: LivePolicy; workers: StartedWorkers },
  { common, passing }: ReturnParts,
): () => void {
  const { registry, connectorFor, roll, awaited, isVouchedFor } = workers
  const { heartbeatIntervalMs } = config
  const deps = { awaited, share: roll.share, registry, log, now, tracer: tracing.tracer, ...passing }
  const isVouched = (worker: RememberedWorker): boolean => isVouchedFor(rememberedHolder(worker))
  const recall = createRecall({
    ...{ ...deps, heartbeatIntervalMs, monotonic, random: Math.random },
    check: createWorkerCheck({ ...common, probe: createRecallProbe({ connectorFor, log }) }),
    remembered: () => awaited.list().filter((worker) => !isVouched(worker)),
    // One process is enough; another one steps in when the first would long be through.
    delayMs: (siblings?.slot ?? 0) * 2 * (REMOVED_AFTER_MISSED + 1) * heartbeatIntervalMs,
  })
  const takeOver = createTakeOver({
    ...deps,
    check: createWorkerCheck({ ...common, probe: () => Promise.resolve() }),
  })
  workers.onLearned(takeOver.take)
  // What was denied may be allowed now.
  policy.onChange(takeOver.again)
  return () => {
    // These need no probe: a controller of a mesh that starts again has all of its workers at once.
    awaited.list().filter(isVouched).forEach(takeOver.take)
    void recall()
  }
}
