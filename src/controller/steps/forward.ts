// On the path of every call. Step 3: call the selected worker, and another one
// where the first attempt failed and a second one is safe. One deadline holds for all of them.
import { AppError } from '../../core/errors.ts'
import type { AttemptMade, AttemptReason } from '../../core/outcome.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall, RouteOutcome } from '../call.ts'
import type { ExchangeResult } from '../dispatch/worker-exchange.ts'
import type { RetryMetrics } from '../metrics/retry-metrics.ts'
import { MAX_BUSY_S, Offer } from '../routing/offer.ts'
import type { WorkerInstance } from '../routing/registry.ts'
import type { RetryBudget } from '../routing/retry-budget.ts'
import { callWorker, type AttemptResult, type CallWorkerDeps } from './call-worker.ts'
import type { DecideAgain, DecidedCall } from './decide-again.ts'
import { mayRepeat, type Tried } from './retry-rule.ts'
import type { NotSelected, SelectWorker } from './select-worker.ts'

export type ForwardDeps = CallWorkerDeps & {
  readonly select: SelectWorker
  readonly decideAgain: DecideAgain
  readonly budget: Pick<RetryBudget, 'called' | 'take'>
  readonly metrics: RetryMetrics
}

/** Never rejects. `verdict`: the decision that lets the call pass. */
export type Forward = (call: RouteCall, verdict: Verdict) => Promise<RouteOutcome>

/** Workers that got something of the call. */
const MAX_ATTEMPTS = 3
/** Workers that got nothing: when a machine dies, many are gone at once, and nobody knows which. */
const MAX_UNREACHED = 10
/** A BUSY costs a worker little, and closes it for other calls too. */
const MAX_BUSY_ANSWERS = 8
const MAX_NOTED = 5

/** `body` and `reason`: of the next attempt. `made`: only once there are several. */
type Attempts = {
  tried: Set<WorkerInstance> | undefined
  unreached: number
  count: number
  busy: number
  body: RouteCall['body']
  reason: AttemptReason | undefined
  made: AttemptMade[] | undefined
  /** How the last attempt ended that may have done work; a later one did, or will do, the same work again. */
  begun: ExchangeResult | undefined
}
type Last = AttemptResult & { readonly worker: WorkerInstance }
type End = Pick<ExchangeResult, 'outcome' | 'status' | 'error' | 'effect'>

/** Calls a worker for an allowed call and streams its answer into `call.sink`. */
export function createForward(deps: ForwardDeps): Forward {
  const { select, monotonic, budget, decideAgain } = deps
  return async (call, verdict) => {
    const start = monotonic()
    budget.called(start)
    const attempts = newAttempts(call)
    // Only once a decision was made again.
    let decided: DecidedCall | undefined
    let last: Last | undefined
    for (;;) {
      const picked = select.pick(call, attempts.tried, start)
      // Only a call that has to wait for its turn waits here.
      const offer = picked instanceof Promise ? await picked : picked
      if (!(offer instanceof Offer)) return notSent(offer, last, attempts, monotonic() - start)
      attempts.count += 1
      // Set before the call: a caller that leaves during the call ends the span. The last worker tried counts.
      call.span.setAttribute('crank.worker_id', offer.worker.workerId)
      const { body, reason } = attempts
      const attempt = { call: decided?.call ?? call, offer, body, number: attempts.count, reason, startMs: monotonic() }
      const { result, firstByteMs } = await callWorker(deps, attempt, start)
      last = { worker: offer.worker, result, firstByteMs }
      const repeats = mayGoOn(deps, { call, offer, result, body }, attempts)
      if (repeats || attempts.made !== undefined) note(attempts, attempt, result, monotonic())
      if (!repeats) return outcomeOf(result, last, attempts, monotonic() - start)
      const again = await decideAgain(decided ?? { call, verdict })
      if (again instanceof AppError) return refused(again, last, attempts, monotonic() - start)
      decided = again ?? decided
    }
  }
}

function newAttempts({ body }: RouteCall): Attempts {
  return {
    tried: undefined,
    unreached: 0,
    count: 0,
    busy: 0,
    body,
    reason: undefined,
    made: undefined,
    begun: undefined,
  }
}

/** Whether another attempt follows; if so, `attempts` says how. */
function mayGoOn({ select, budget, metrics, monotonic }: ForwardDeps, tried: Tried, attempts: Attempts): boolean {
  const { result, offer } = tried
  if (result.error === undefined) return false
  if (result.error.code === 'worker_busy') select.busy(offer, result.error.retryAfterS)
  const repeat = mayRepeat(tried)
  if (repeat === undefined) return false
  if (repeat.reason === 'busy') {
    attempts.busy += 1
    if (attempts.busy >= MAX_BUSY_ANSWERS) return false
  } else {
    attempts.tried = (attempts.tried ?? new Set()).add(offer.worker)
    if (repeat.reason === 'unreached') attempts.unreached += 1
    const { tried: workers, unreached } = attempts
    if (unreached >= MAX_UNREACHED || workers.size - unreached >= MAX_ATTEMPTS) return false
  }
  // The others cost a worker nothing: it did not begin.
  if (repeat.reason === 'retry_safe' && !budget.take(monotonic())) {
    metrics.overBudget()
    return false
  }
  metrics.repeated(repeat.reason)
  attempts.body = repeat.body
  attempts.reason = repeat.reason
  if (result.effect !== 'none') attempts.begun = result
  return true
}

type Noted = {
  readonly call: RouteCall
  readonly offer: Offer
  readonly reason: AttemptReason | undefined
  readonly startMs: number
}

function note(
  attempts: Attempts,
  { call, offer, reason, startMs }: Noted,
  result: ExchangeResult,
  nowMs: number,
): void {
  const made = (attempts.made ??= [])
  if (made.length === MAX_NOTED) made.pop()
  made.push({
    worker_id: offer.worker.workerId,
    decision_id: call.decisionId,
    reason: reason ?? null,
    outcome: result.outcome,
    error: result.error?.code ?? null,
    sent: result.sent,
    duration_ms: Math.round((nowMs - startMs) * 1000) / 1000,
  })
}

function notSent(refusal: NotSelected, last: Last | undefined, attempts: Attempts, durationMs: number): RouteOutcome {
  const result = last !== undefined && saysMore(last.result, refusal) ? last.result : refusal
  return outcomeOf(result, last, attempts, durationMs)
}

/** Whether the last attempt says more than that there is no further worker: it names the worker, and how long it is busy. */
function saysMore({ error }: ExchangeResult, { cause, error: refusal }: NotSelected): boolean {
  if (cause === 'none' || cause === 'gone') return true
  if (cause !== 'busy' || error?.code !== 'worker_busy') return false
  // Otherwise another worker opens earlier.
  return (refusal.retryAfterS ?? 0) >= Math.min(error.retryAfterS ?? 0, MAX_BUSY_S)
}

/** The policy does not let the call pass any more, or could not be asked. */
function refused(error: AppError, last: Last, attempts: Attempts, durationMs: number): RouteOutcome {
  const end = { outcome: 'refused', status: error.kind.status, error, effect: 'none' } as const
  return outcomeOf(end, last, attempts, durationMs)
}

function outcomeOf(
  end: End,
  last: Last | undefined,
  { count, made, begun }: Attempts,
  durationMs: number,
): RouteOutcome {
  const { outcome, effect } = begun === undefined ? end : withWorkOf(begun, end)
  const { status, error } = end
  return {
    outcome,
    status,
    error,
    effect,
    firstByteMs: last?.firstByteMs,
    workerId: last?.worker.workerId ?? null,
    attempts: count,
    attemptsMade: made,
    durationMs,
  }
}

/** After an attempt that may have done work, an end without any work does not mean that nothing was done. */
function withWorkOf(begun: ExchangeResult, end: End): Pick<End, 'outcome' | 'effect'> {
  if (end.effect !== 'none') return end
  const isGone = end.outcome === 'caller_left' || end.outcome === 'shutdown'
  return { outcome: isGone ? end.outcome : begun.outcome, effect: 'unclear' }
}
