// On the path of every call. Step 3, its first half: which worker gets the call. Where all that fit are at their limit, the call
// waits for its turn.
import { SpanKind, type Span, type Tracer } from '@opentelemetry/api'
import type { Capability } from '../../core/capability.ts'
import { AppError } from '../../core/errors.ts'
import type { Outcome } from '../../core/outcome.ts'
import { startSpan } from '../../platform/tracing/tracing.ts'
import type { RouteCall, RouteOutcome } from '../call.ts'
import type { QueueMetrics } from '../metrics/queue-metrics.ts'
import { ANYONE, suits, type Choose, type Seeker } from '../routing/choose.ts'
import type { OfferGroup } from '../routing/offer-group.ts'
import { Offer } from '../routing/offer.ts'
import type { WorkerInstance } from '../routing/registry.ts'
import type { NoOffer, WaitingRoom } from '../routing/waiting-room.ts'

type SelectDeps = {
  readonly groupOf: (capability: Capability) => OfferGroup | undefined
  /** True when a manifest names the capability. */
  readonly isKnown: (capability: Capability) => boolean
  readonly choose: Choose
  readonly room: WaitingRoom
  readonly metrics: QueueMetrics
  readonly tracer: Tracer
  readonly monotonic: () => number
}

/** Why no worker is called. `cause`: the caller is gone, workers that fit are busy, there is none, or another reason. */
export type NotSelected = Pick<RouteOutcome, 'outcome' | 'status' | 'effect'> & {
  readonly cause: 'gone' | 'busy' | 'none' | 'queue'
  readonly error: AppError
}

type Tried = ReadonlySet<WorkerInstance> | undefined

/**
 * @example
 * const selected = await select.pick(call, tried, startMs)
 * if (selected instanceof Offer) … select.giveBack(selected)
 */
export type SelectWorker = {
  /** An offer with a slot taken for the call; a promise only if the call has to wait. `startMs`: when its time began. */
  readonly pick: (call: RouteCall, tried: Tried, startMs: number) => Offer | NotSelected | Promise<Offer | NotSelected>
  /** Gives the slot back: the attempt has ended. */
  readonly giveBack: (offer: Offer) => void
  /** The worker answered BUSY: it gets no calls of this capability for so long. */
  readonly busy: (offer: Offer, retryAfterS: number | undefined) => void
}

const BUSY_S = 1
/** What Node reads of a body ahead of its use. */
const UPLOAD_BYTES = 64 * 1024

export function createSelectWorker(deps: SelectDeps): SelectWorker {
  const { room, monotonic, choose, groupOf, tracer } = deps
  return {
    pick(call, tried, startMs) {
      if (call.sink.hasLeft()) return gone(call)
      const span = startSpan(tracer, 'worker.select', SpanKind.INTERNAL, call.span)
      // What is free again by the clock belongs to the calls that wait.
      room.serve(call.capability)
      const group = groupOf(call.capability)
      span.setAttribute('crank.candidates', group?.offers.length ?? 0)
      const choice = choose(group, seekerOf(call, tried), monotonic())
      if (choice === 'wait') return waitForTurn(deps, call, { tried, startMs, span })
      if (choice instanceof Offer) choice.take()
      return selected(span, choice instanceof Offer ? choice : notChosen(deps, call, choice))
    },
    giveBack(offer) {
      offer.release()
      room.freed(offer)
    },
    busy(offer, retryAfterS = BUSY_S) {
      offer.closeFor(retryAfterS * 1000, monotonic())
      room.busy(offer)
    },
  }
}

type Turn = { readonly tried: Tried; readonly startMs: number; readonly span: Span }

async function waitForTurn(
  deps: SelectDeps,
  call: RouteCall,
  { tried, startMs, span }: Turn,
): Promise<Offer | NotSelected> {
  const { room, metrics, monotonic } = deps
  const { capability, priority, body, sink } = call
  const sinceMs = monotonic()
  const result = await room.enter({
    capability,
    priority,
    seeker: seekerOf(call, tried),
    bytes: Buffer.isBuffer(body) ? body.length : UPLOAD_BYTES,
    timeoutMs: call.timeoutMs - (sinceMs - startMs),
    watch: (onLeave) => sink.watch(() => undefined, onLeave),
  })
  const waitedMs = monotonic() - sinceMs
  span.setAttribute('crank.queue_wait_ms', waitedMs)
  if (!(result instanceof Offer)) {
    if (result !== 'left') metrics.refused(capability, result)
    return selected(span, noTurn(deps, call, result))
  }
  metrics.waited(capability, waitedMs / 1000)
  if (!sink.hasLeft()) return selected(span, result)
  // It left in the turn of the event loop in which it got its worker.
  result.release()
  room.freed(result)
  return selected(span, gone(call))
}

function seekerOf({ wish }: RouteCall, tried: Tried): Seeker {
  return wish === undefined && tried === undefined ? ANYONE : { wish, tried }
}

function selected<T extends Offer | NotSelected>(span: Span, result: T): T {
  if (result instanceof Offer) span.setAttribute('crank.worker_id', result.worker.workerId)
  span.end()
  return result
}

function noTurn(deps: SelectDeps, call: RouteCall, result: NoOffer): NotSelected {
  switch (result) {
    case 'left':
      return gone(call)
    case 'none':
      return notChosen(deps, call, 'none')
    case 'timed_out':
      return refused(
        'queue',
        'timeout',
        new AppError('worker_timeout', 'no worker was free in time: all are at their limit'),
      )
    case 'full':
    case 'displaced': {
      const why =
        result === 'full'
          ? 'the queue for this capability is full'
          : 'calls of higher priority took its place in the queue'
      return refused('queue', 'worker_failed', new AppError('overloaded', `all workers are at their limit, and ${why}`))
    }
  }
}

/** Why no worker fits: all that do are busy, or there is none. */
function notChosen({ groupOf, isKnown, monotonic }: SelectDeps, call: RouteCall, why: 'busy' | 'none'): NotSelected {
  const group = groupOf(call.capability)
  if (why === 'busy' && group !== undefined) {
    const retryAfterS = Math.ceil((firstOpenMs(group, call) - monotonic()) / 1000)
    const error = new AppError('worker_busy', 'every worker is at its limit of calls', {
      retryAfterS: Math.max(1, retryAfterS),
    })
    return refused('busy', 'worker_failed', error)
  }
  if (group !== undefined && call.wish !== undefined) {
    return refused('none', 'worker_failed', new AppError('no_worker_available', noneMeets(call.wish, group)))
  }
  const code = group !== undefined || isKnown(call.capability) ? 'no_worker_available' : 'capability_unknown'
  return refused('none', 'worker_failed', new AppError(code))
}

function firstOpenMs({ offers }: OfferGroup, call: RouteCall): number {
  const seeker = seekerOf(call, undefined)
  return offers.reduce((ms, offer) => (suits(offer, seeker) ? Math.min(ms, offer.busyUntilMs) : ms), Infinity)
}

const MAX_VERSIONS_NAMED = 8

function noneMeets({ version, require }: NonNullable<RouteCall['wish']>, { offers }: OfferGroup): string {
  const asked: string[] = []
  if (version !== undefined) asked.push(`version ${version.text}`)
  if (require.length > 0) asked.push(`labels ${require.map(([name, value]) => `${name}=${value}`).join(', ')}`)
  const versions = [...new Set(offers.map((offer) => offer.version))].sort(byNumbers).slice(0, MAX_VERSIONS_NAMED)
  return `no live worker provides this capability with ${asked.join(' and ')}; versions there are: ${versions.join(', ')}`
}

function byNumbers(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

function gone({ sink }: RouteCall): NotSelected {
  const by = sink.goneBy()
  const error = by === 'shutdown' ? new AppError('shutting_down') : new AppError('worker_failed', 'the caller left')
  return refused('gone', by, error)
}

function refused(cause: NotSelected['cause'], outcome: Outcome, error: AppError): NotSelected {
  return { cause, outcome, status: error.kind.status, error, effect: 'none' }
}
