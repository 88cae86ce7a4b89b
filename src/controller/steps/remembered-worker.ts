// A worker that does not ask itself: one that is remembered from before a restart, or that another controller has registered.
// The policy is asked about it as if it registered now.
import { setTimeout as delay } from 'node:timers/promises'
import { SpanKind, type Tracer } from '@opentelemetry/api'
import { uuidv7 } from '../../core/ids.ts'
import { startSpan, traceContextOf } from '../../platform/tracing/tracing.ts'
import type { RegistrationVerdict } from '../../policy/verdict.ts'
import { rememberedHolder, type Awaited } from '../routing/awaited.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'
import type { Registry } from '../routing/registry.ts'
import type { Share } from '../routing/roll.ts'
import type { CheckedWorker, WorkerCheck } from './check-worker.ts'

export type RememberedDeps = {
  readonly awaited: Awaited
  readonly check: WorkerCheck
  readonly registry: Pick<Registry, 'refuseIfFull'>
  readonly share: Share
  /** Called when a worker is routable; `verdict` allowed it. */
  readonly onRegistered: (verdict: RegistrationVerdict) => void
  readonly isReady: () => boolean
  readonly tracer: Tracer
  readonly now: () => number
  readonly signal: AbortSignal
}

const POLL_MS = 50

/** Resolves when the policy can be asked, or the signal aborts. */
export async function untilReady({ isReady, signal }: Pick<RememberedDeps, 'isReady' | 'signal'>): Promise<void> {
  while (!isReady() && !signal.aborted) await pause(POLL_MS, signal)
}

/**
 * The identity is the one that the worker registered with; a connection to it proves it.
 * @throws {AppError} as the check does, and `overloaded`
 */
export async function checkRemembered(
  { spiffeId, body }: RememberedWorker,
  spanName: string,
  { check, registry, tracer, now }: RememberedDeps,
): Promise<CheckedWorker> {
  const span = startSpan(tracer, spanName, SpanKind.INTERNAL, undefined)
  try {
    const asker = { decisionId: uuidv7(now()), caller: spiffeId, span, trace: traceContextOf(span) }
    const passed = await check(asker, body)
    registry.refuseIfFull(passed.registration)
    return passed
  } finally {
    span.end()
  }
}

/** False: it has left, or registered again, during the check. @throws {AppError} as `share` */
export async function makeRoutable(
  worker: RememberedWorker,
  { registration, verdict }: CheckedWorker,
  { awaited, share, onRegistered }: RememberedDeps,
): Promise<boolean> {
  if (!awaited.has(rememberedHolder(worker))) return false
  const { leaseHash, registeredAt, body } = worker
  if (!(await share({ kind: 'restored', registration, tenure: { leaseHash, registeredAt }, body }))) return false
  onRegistered(verdict)
  return true
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return delay(ms, undefined, { signal, ref: false }).catch(() => undefined)
}
